//! `bench load`: synthetic traffic against an endpoint, alone or paired with a second one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CommonOptions, Finished, finish, models};
use crate::client::Target;
use crate::error::LabError;
use crate::load::{Assign, Pace, Plan};
use crate::mix::{Class, Mix};

/// Send synthetic requests to an endpoint and measure every one.
///
/// With --concurrency, so many requests are always under way (closed loop); with --rate, requests
/// come at random times at that mean rate whatever becomes of earlier ones (open loop), and are
/// measured from the time they were due.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadOptions {
    /// Keep so many requests under way
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "rate",
        required_unless_present = "rate"
    )]
    pub concurrency: Option<usize>,

    /// Send so many requests per second, at random (Poisson) times
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,

    /// Send so many requests; left out, 1000 or as many as fit --duration
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,

    /// Send no further request after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<f64>,

    /// What requests look like; the options below change single figures
    #[arg(long, value_enum, default_value = "short")]
    pub shape: Shape,

    /// Number of different shared prefixes
    #[arg(long, value_name = "N")]
    pub groups: Option<u32>,

    /// Length of each shared prefix
    #[arg(long, value_name = "TOKENS")]
    pub prefix: Option<u32>,

    /// Length of the part that is new in every request
    #[arg(long, value_name = "TOKENS")]
    pub question: Option<u32>,

    /// Limit of every answer
    #[arg(long, value_name = "TOKENS")]
    pub output: Option<u32>,

    /// Ask for answers exactly as long as the limit (vLLM's ignore_eos; strict servers refuse it)
    #[arg(long)]
    pub ignore_eos: bool,

    /// How unevenly requests fall on the prefixes: 0 evenly, 1 as words in a language
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    pub skew: f64,

    /// How many times faster than life simulated servers run; reported times are multiplied by it
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub time_scale: f64,

    /// Send every second request here instead, in random order within each pair, and report how
    /// much latency --endpoint adds over this URL
    #[arg(long, value_name = "URL")]
    pub direct: Option<String>,

    /// What is sent where, and how results are shown
    #[command(flatten)]
    pub common: CommonOptions,
}

/// Ready-made request shapes: (groups, prefix, question, output) in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// 200 new tokens in, 100 out, nothing shared
    Short,
    /// 64 assistants with 1,000 tokens each of shared instructions, 200 in, 200 out
    Chat,
    /// 150 documents of 6,000 tokens, 1,200 in, 500 out
    Documents,
    /// 16 agents with 16,000 tokens of tools and history each, 500 in, 150 out
    Agents,
    /// 100,000 new tokens in, 100 out, nothing shared
    Long,
}

impl Shape {
    fn figures(self) -> (u32, u32, u32, u32) {
        match self {
            Shape::Short => (1, 0, 200, 100),
            Shape::Chat => (64, 1_000, 200, 200),
            Shape::Documents => (150, 6_000, 1_200, 500),
            Shape::Agents => (16, 16_000, 500, 150),
            Shape::Long => (1, 0, 100_000, 100),
        }
    }
}

/// Requests of a run whose end is given by its duration: far more than any duration allows.
const UNTIL_THE_END: u64 = 100_000_000;

impl LoadOptions {
    /// Sends the load and returns the measurements. `cancel` stops early, with a report of what
    /// was measured by then.
    ///
    /// # Errors
    /// Any [`LabError`] that prevents the run; failed requests are in the report.
    pub async fn run(&self, cancel: CancellationToken) -> Result<Finished, LabError> {
        let mut targets = self.common.targets()?;
        if let Some(direct) = &self.direct {
            targets.push(Target::parse(direct)?);
        }
        let names = models::names(&self.common, &targets).await?;
        let mix = Mix {
            classes: vec![self.class(names)],
            seed: self.common.seed,
        };
        let requests = match (self.requests, self.duration) {
            (Some(requests), _) => requests,
            (None, Some(_)) => UNTIL_THE_END,
            (None, None) => 1_000,
        };
        let mut plan = Plan::new(targets, self.pace()?, requests, mix.shots()?);
        self.common.apply(&mut plan, self.ignore_eos);
        if let Some(seconds) = self.duration {
            let duration = Duration::try_from_secs_f64(seconds);
            plan.duration =
                Some(duration.map_err(|_| LabError::Plan("--duration is not a time".to_owned()))?);
        }
        if self.direct.is_some() {
            plan.assign = Assign::Pairs {
                seed: self.common.seed,
            };
        }
        plan.max_in_flight = plan.max_in_flight.max(self.concurrency.unwrap_or(0));
        plan.time_scale = self.time_scale;
        plan.cancel = cancel;
        let title = format!("load on {}", self.common.whereto());
        finish(plan, &self.common, &title, Vec::new()).await
    }

    fn pace(&self) -> Result<Pace, LabError> {
        match (self.concurrency, self.rate) {
            (Some(concurrency), None) => Ok(Pace::Closed { concurrency }),
            (None, Some(per_second)) => Ok(Pace::Poisson {
                per_second,
                seed: self.common.seed,
            }),
            _ => Err(LabError::Plan(
                "give either --concurrency or --rate".to_owned(),
            )),
        }
    }

    fn class(&self, models: Vec<Arc<str>>) -> Class {
        let (groups, prefix, question, output) = self.shape.figures();
        Class {
            name: "load".into(),
            weight: 1.0,
            // Every model must have a group, or it would get no traffic.
            groups: self
                .groups
                .unwrap_or(groups)
                .max(u32::try_from(models.len()).unwrap_or(u32::MAX)),
            models,
            prefix_tokens: self.prefix.unwrap_or(prefix),
            question_tokens: self.question.unwrap_or(question),
            output_tokens: self.output.unwrap_or(output),
            skew: self.skew,
        }
    }
}
