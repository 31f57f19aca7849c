//! What a run measured.
//!
//! [`Report`] holds everything in real time; [`Summary`] is what people and files get: the figures
//! in the trace's time, which is real time multiplied by the time scale.

mod render;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use summary::{Added, ErrorSummary, PodSummary, Summary, TallySummary, TargetSummary};

use crate::load::{Assign, Engine, Plan};
use crate::outcome::{Cause, Outcome};
use crate::stats::Distribution;

/// Pods told apart in a report; requests of further ones are counted under this name.
const OTHER_PODS: &str = "(others)";
const PODS_MAX: usize = 1_024;

/// Classes told apart in a report; the plan's author chooses them, so this is a safety net.
const CLASSES_MAX: usize = 256;

/// Sums over some requests. Distributions hold successful requests only, real time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests ended.
    pub requests: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Scheduled time to first content.
    pub ttft: Distribution,
    /// Time per output token after the first, one value per request.
    pub tpot: Distribution,
    /// Scheduled time to the end.
    pub e2e: Distribution,
    /// Prompt tokens of the requests whose server counted them.
    pub prompt_tokens: u64,
    /// Cached prompt tokens; `None` until a server reports some number, because many never do.
    pub cached_tokens: Option<u64>,
    /// Tokens generated.
    pub output_tokens: u64,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.requests += 1;
        if !outcome.is_success() {
            self.failed += 1;
            return;
        }
        if let Some(ttft) = outcome.ttft {
            self.ttft.record(ttft);
        }
        if let Some(tpot) = outcome.tpot {
            self.tpot.record(tpot);
        }
        self.e2e.record(outcome.e2e);
        self.prompt_tokens += outcome.prompt_tokens.unwrap_or(0);
        self.output_tokens += outcome.output_tokens.unwrap_or(0);
        if let Some(cached) = outcome.cached_tokens {
            *self.cached_tokens.get_or_insert(0) += cached;
        }
    }

    /// Share of the prompt tokens that came from a prefix cache; `None` when no server said.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let cached = self.cached_tokens?;
        (self.prompt_tokens > 0).then(|| cached as f64 / self.prompt_tokens as f64)
    }
}

/// Failures of one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCount {
    /// How many.
    pub count: u64,
    /// What the first one said.
    pub example: String,
}

/// The measurements of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// All requests.
    pub total: Tally,
    /// By the plan's class labels.
    pub classes: BTreeMap<Arc<str>, Tally>,
    /// By target, in the plan's order: the URL, its requests, the gaps between its tokens.
    pub targets: Vec<(String, Tally, Distribution)>,
    /// By the pod that served, where responses say so.
    pub pods: BTreeMap<Arc<str>, Tally>,
    /// Failures by cause.
    pub errors: BTreeMap<Cause, ErrorCount>,
    /// How late requests left, real time.
    pub lag: Distribution,
    /// From time zero to the last answer, real time.
    pub wall: Duration,
    /// Wall time times this is trace time.
    pub time_scale: f64,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// Whether targets were compared pair by pair.
    pub paired: bool,
    /// Single outcomes in the order they ended, as many as the plan wanted.
    pub outcomes: Vec<Outcome>,
    keep: usize,
}

impl Report {
    pub(crate) fn new(plan: &Plan) -> Self {
        let target = |target: &crate::client::Target| {
            (
                target.url().to_owned(),
                Tally::default(),
                Distribution::default(),
            )
        };
        Self {
            total: Tally::default(),
            classes: BTreeMap::new(),
            targets: plan.targets.iter().map(target).collect(),
            pods: BTreeMap::new(),
            errors: BTreeMap::new(),
            lag: Distribution::default(),
            wall: Duration::ZERO,
            time_scale: plan.time_scale,
            interrupted: false,
            paired: matches!(plan.assign, Assign::Pairs { .. }),
            outcomes: Vec::new(),
            keep: plan.keep_outcomes,
        }
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.total.add(&outcome);
        self.lag.record(outcome.lag);
        bounded(&mut self.classes, &outcome.class, CLASSES_MAX).add(&outcome);
        if let Some((_, tally, _)) = self.targets.get_mut(outcome.target) {
            tally.add(&outcome);
        }
        if let Some(pod) = &outcome.pod {
            bounded(&mut self.pods, pod, PODS_MAX).add(&outcome);
        }
        if let Some(failure) = &outcome.failure {
            let errors = self
                .errors
                .entry(failure.cause)
                .or_insert_with(|| ErrorCount {
                    count: 0,
                    example: failure.detail.clone(),
                });
            errors.count += 1;
        }
        if self.outcomes.len() < self.keep {
            self.outcomes.push(outcome);
        }
    }

    pub(crate) fn finish(&mut self, engine: &Engine) {
        self.wall = Instant::now().saturating_duration_since(engine.start);
        self.interrupted = engine.is_cancelled();
        for (index, (_, _, gaps)) in self.targets.iter_mut().enumerate() {
            *gaps = engine.gaps_of(index);
        }
    }

    /// Gaps between tokens over all targets, real time.
    #[must_use]
    pub fn itl(&self) -> Distribution {
        let mut all = Distribution::default();
        self.targets.iter().for_each(|(_, _, gaps)| all.merge(gaps));
        all
    }
}

/// The tally under `name`, or the common one when there are too many names.
fn bounded<'a>(
    tallies: &'a mut BTreeMap<Arc<str>, Tally>,
    name: &Arc<str>,
    max: usize,
) -> &'a mut Tally {
    let full = tallies.len() >= max && !tallies.contains_key(name);
    let name = if full {
        Arc::from(OTHER_PODS)
    } else {
        name.clone()
    };
    tallies.entry(name).or_default()
}
