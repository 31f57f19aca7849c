//! `bench replay`: a trace, at its own times, against an endpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CommonOptions, Finished, finish, models};
use crate::error::LabError;
use crate::load::{Pace, Plan};
use crate::text::mix;
use crate::trace::{MOONCAKE_BLOCK_TOKENS, Trace};
use crate::wire::{Prompt, Shot};

/// Replay a request trace against an endpoint and measure every request.
///
/// Requests are sent at the trace's times whatever becomes of earlier ones, and are measured from
/// the time they were due. Prompts are generated text; equal block ids give equal text, so the
/// prefixes shared in the trace are shared here.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayOptions {
    /// The trace: Mooncake JSONL or CSV, Azure CSV or ServeGen CSV, plain or gzipped
    #[arg(long, value_name = "FILE")]
    pub trace: PathBuf,

    /// Send so many requests of the trace
    #[arg(long, value_name = "N")]
    pub requests: Option<usize>,

    /// Leave out the first N requests of the trace
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: usize,

    /// How many times faster than life everything runs, for simulated servers started with the
    /// same --time-scale. Times are reported as the trace's, not the wall's
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub time_scale: f64,

    /// How many times the trace's rate to send at; times are reported as they are
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub rate_scale: f64,

    /// Limit every answer to so many tokens; left out, answers are as long as in the trace
    #[arg(long, value_name = "TOKENS")]
    pub max_output: Option<u32>,

    /// Let answers end where the model ends them. Otherwise requests carry vLLM's ignore_eos, which
    /// vLLM, SGLang and the simulated server know, so that answers are as long as in the trace;
    /// strict servers refuse it
    #[arg(long)]
    pub natural_end: bool,

    /// Tokens that one block id of the trace stands for
    #[arg(long, value_name = "TOKENS", default_value_t = MOONCAKE_BLOCK_TOKENS)]
    pub block_tokens: u32,

    /// Keep timestamps that were rounded to whole seconds as they are, instead of spreading each
    /// burst evenly over its step
    #[arg(long)]
    pub keep_bursts: bool,

    /// What is sent where, and how results are shown
    #[command(flatten)]
    pub common: CommonOptions,
}

impl ReplayOptions {
    /// Loads the trace, replays it and returns the measurements. `cancel` stops early, with a
    /// report of what was measured by then.
    ///
    /// # Errors
    /// Any [`LabError`] that prevents the run; failed requests are in the report.
    pub async fn run(&self, cancel: CancellationToken) -> Result<Finished, LabError> {
        let speed = self.time_scale * self.rate_scale;
        if !(self.time_scale > 0.0 && self.rate_scale > 0.0 && speed.is_finite()) {
            return Err(LabError::Plan(
                "--time-scale and --rate-scale must be above 0".to_owned(),
            ));
        }
        let targets = self.common.targets()?;
        let (trace, notes) = self.load()?;
        let names = models::names(&self.common, &targets).await?;
        let requests = trace.records.len() as u64;
        let shots = Shots {
            trace,
            models: names,
            speed,
            max_output: self.max_output,
            next: 0,
        };
        let mut plan = Plan::new(targets, Pace::Scheduled, requests, shots);
        self.common.apply(&mut plan, !self.natural_end);
        plan.time_scale = self.time_scale;
        plan.cancel = cancel;
        let file = self
            .trace
            .file_name()
            .unwrap_or(self.trace.as_os_str())
            .to_string_lossy();
        let title = format!("replay of {file} to {}", self.common.whereto());
        finish(plan, &self.common, &title, notes).await
    }

    fn load(&self) -> Result<(Trace, Vec<String>), LabError> {
        let trace = Trace::load(&self.trace, self.block_tokens)?;
        let length = trace.records.len();
        let mut trace = trace.window(self.skip, self.requests);
        if trace.records.is_empty() {
            let message = format!("the trace has {length} requests; nothing is left to send");
            return Err(LabError::Plan(message));
        }
        let mut notes = Vec::new();
        match self.requests {
            Some(wanted) if wanted > trace.records.len() => notes.push(format!(
                "{wanted} requests were asked for, but the trace has only {} from there on",
                trace.records.len()
            )),
            _ => {}
        }
        if self.keep_bursts {
            if let Some(step) = trace.quantum() {
                notes.push(format!(
                    "timestamps are rounded to {step:?}: requests came in bursts"
                ));
            }
        } else {
            trace.spread(self.common.seed);
        }
        Ok((trace, notes))
    }
}

/// The trace's records as requests.
struct Shots {
    trace: Trace,
    models: Vec<Arc<str>>,
    speed: f64,
    max_output: Option<u32>,
    next: usize,
}

impl Iterator for Shots {
    type Item = Shot;

    fn next(&mut self) -> Option<Shot> {
        let index = self.next;
        let record = self.trace.records.get(index)?;
        self.next += 1;
        let seconds = record.at.as_secs_f64() / self.speed;
        Some(Shot {
            at: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
            class: "trace".into(),
            model: self.model_of(index, &record.blocks),
            prompt: Prompt {
                system: Vec::new(),
                user: self.trace.spans(index),
            },
            max_tokens: record
                .output_tokens
                .min(self.max_output.unwrap_or(u32::MAX)),
        })
    }
}

impl Shots {
    /// With several models, conversations keep theirs: the first block that a conversation does
    /// not share with everybody else (in Mooncake's traces, the second) decides.
    fn model_of(&self, index: usize, blocks: &[u64]) -> Arc<str> {
        let key = blocks
            .get(1)
            .or(blocks.first())
            .copied()
            .unwrap_or(index as u64);
        let choice = mix(key) % self.models.len() as u64;
        self.models[usize::try_from(choice).unwrap_or(0)].clone()
    }
}
