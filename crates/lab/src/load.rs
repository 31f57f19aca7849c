//! The load generator: sends a plan's requests to HTTP endpoints and measures every one.
//!
//! - **No coordinated omission.** Times count from when a request was *to be* sent. A generator or
//!   a server that falls behind cannot hide it; the generator's own part is reported as lag.
//! - **Bounded.** The number of requests, those in flight, and the outcomes kept are in the plan.
//!   A run ends when its requests have ended, when its duration is over, or when it is cancelled.
//! - **Precise.** Open-loop times are kept by a thread of their own: a runtime's timer wheel ticks
//!   in milliseconds, which a time scale of 20 would turn into 20 ms of trace time.

mod closed;
mod exchange;
mod open;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Target};
use crate::error::LabError;
use crate::outcome::Outcome;
use crate::report::Report;
use crate::stats::Distribution;
use crate::wire::{Shot, Wire};

/// How often [`run`] tells its watcher how it is going.
const WATCH_PERIOD: Duration = Duration::from_millis(250);

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop at the time of each shot.
    Scheduled,
    /// Open loop with exponential gaps.
    Poisson {
        /// Mean rate, requests per second.
        per_second: f64,
        /// Where the gaps come from.
        seed: u64,
    },
    /// Closed loop: each of so many workers sends its next request when the last one ended.
    Closed {
        /// Number of workers.
        concurrency: usize,
    },
}

/// Which target gets which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assign {
    /// One after the other: with several model servers this is client-side round robin.
    RoundRobin,
    /// Requests `2n` and `2n + 1` go to different ones of two targets, in a random order, so that
    /// both see the same conditions.
    Pairs {
        /// Where the order comes from.
        seed: u64,
    },
}

/// Everything a run needs to know.
pub struct Plan {
    /// Where to send. At least one.
    pub targets: Vec<Target>,
    /// Which target gets which request.
    pub assign: Assign,
    /// API and options of every request.
    pub wire: Wire,
    /// Headers added to every request, such as `authorization`.
    pub headers: HeaderMap,
    /// When to send.
    pub pace: Pace,
    /// What to send.
    pub shots: Box<dyn Iterator<Item = Shot> + Send>,
    /// At most so many requests.
    pub requests: u64,
    /// Start no request after this time.
    pub duration: Option<Duration>,
    /// At most so many requests at once; more wait, and their waiting counts as lag.
    pub max_in_flight: usize,
    /// Longest time for one request.
    pub timeout: Duration,
    /// Keep so many single outcomes in the report; all count in its distributions.
    pub keep_outcomes: usize,
    /// How many times faster than life the servers' clocks run. Only reports use it: they multiply
    /// times by it.
    pub time_scale: f64,
    /// Stops the run: requests in flight are dropped and counted as interrupted.
    pub cancel: CancellationToken,
}

impl Plan {
    /// A plan with the defaults: streamed chat, round robin, 1,000 requests in flight, 10 min per
    /// request, 100,000 outcomes kept.
    #[must_use]
    pub fn new(
        targets: Vec<Target>,
        pace: Pace,
        requests: u64,
        shots: impl Iterator<Item = Shot> + Send + 'static,
    ) -> Self {
        Self {
            targets,
            assign: Assign::RoundRobin,
            wire: Wire {
                api: crate::wire::Api::Chat,
                stream: true,
                ignore_eos: false,
            },
            headers: HeaderMap::new(),
            pace,
            shots: Box::new(shots),
            requests,
            duration: None,
            max_in_flight: 1_000,
            timeout: Duration::from_secs(600),
            keep_outcomes: 100_000,
            time_scale: 1.0,
            cancel: CancellationToken::new(),
        }
    }

    fn check(&self) -> Result<(), LabError> {
        let wrong = |what: &str| Err(LabError::Plan(what.to_owned()));
        match (self.pace, self.assign) {
            _ if self.targets.is_empty() => wrong("no endpoint to send to"),
            _ if self.max_in_flight == 0 => wrong("at least one request must be allowed in flight"),
            _ if !(self.time_scale.is_finite() && self.time_scale > 0.0) => {
                wrong("the time scale must be above 0")
            }
            (Pace::Closed { concurrency: 0 }, _) => wrong("a concurrency of 0 sends nothing"),
            (Pace::Poisson { per_second, .. }, _)
                if !(per_second.is_finite() && per_second > 0.0) =>
            {
                wrong("the rate must be above 0 requests per second")
            }
            (_, Assign::Pairs { .. }) if self.targets.len() != 2 => {
                wrong("pairs need exactly two endpoints")
            }
            _ => Ok(()),
        }
    }
}

/// How a run is going.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Live {
    /// The plan's number of requests.
    pub requests: u64,
    /// Ended so far, failures included.
    pub ended: u64,
    /// Failed so far.
    pub failed: u64,
    /// Sent and not ended.
    pub in_flight: usize,
    /// Time since the start.
    pub elapsed: Duration,
    /// Median time to first token so far, real time.
    pub ttft_p50: Duration,
}

/// Runs a plan to its end. `watch` is called a few times per second and once at the end.
///
/// # Errors
/// [`LabError::Plan`] for a plan that cannot work, [`LabError::Endpoint`] for a target that cannot
/// be resolved. Failures of requests are in the report, not here.
pub async fn run(plan: Plan, mut watch: impl FnMut(&Live)) -> Result<Report, LabError> {
    plan.check()?;
    let mut clients = Vec::with_capacity(plan.targets.len());
    for target in &plan.targets {
        clients.push(Client::new(target.clone()).await?);
    }
    let engine = Arc::new(Engine {
        gaps: clients.iter().map(|_| Mutex::default()).collect(),
        clients: clients.into(),
        wire: plan.wire,
        headers: plan.headers.clone(),
        timeout: plan.timeout,
        assign: plan.assign,
        cancel: plan.cancel.clone(),
        start: Instant::now() + open::HEAD_START,
        in_flight: AtomicUsize::new(0),
    });
    let mut report = Report::new(&plan);
    let requests = plan.requests;
    let (outcomes, mut ended) = mpsc::channel(4_096);
    let mut driver = JoinSet::new();
    match plan.pace {
        Pace::Closed { concurrency } => {
            driver.spawn(closed::drive(engine.clone(), plan, concurrency, outcomes));
        }
        Pace::Scheduled | Pace::Poisson { .. } => {
            driver.spawn(open::drive(engine.clone(), plan, outcomes));
        }
    }
    let mut period = tokio::time::interval(WATCH_PERIOD);
    loop {
        tokio::select! {
            outcome = ended.recv() => match outcome {
                Some(outcome) => report.add(outcome),
                None => break,
            },
            _ = period.tick() => watch(&engine.live(requests, &report)),
        }
    }
    if let Some(result) = driver.join_next().await {
        result.map_err(|error| LabError::Runtime(error.to_string()))??;
    }
    watch(&engine.live(requests, &report));
    report.finish(&engine);
    Ok(report)
}

/// What the tasks of a run share.
pub(crate) struct Engine {
    clients: Box<[Client]>,
    wire: Wire,
    headers: HeaderMap,
    timeout: Duration,
    assign: Assign,
    cancel: CancellationToken,
    /// Time zero of the plan. In the future when the engine is made.
    pub(crate) start: Instant,
    in_flight: AtomicUsize,
    /// Gaps between tokens, by target.
    gaps: Box<[Mutex<Distribution>]>,
}

impl Engine {
    /// The target of request `number`.
    fn target_of(&self, number: u64) -> usize {
        let count = self.clients.len() as u64;
        let target = match self.assign {
            Assign::RoundRobin => number % count,
            Assign::Pairs { seed } => (number & 1) ^ (crate::text::mix(seed ^ (number >> 1)) & 1),
        };
        usize::try_from(target).unwrap_or(0)
    }

    /// Inter-token latencies seen from `target`.
    pub(crate) fn gaps_of(&self, target: usize) -> Distribution {
        let gaps = self.gaps[target].lock();
        gaps.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn live(&self, requests: u64, report: &Report) -> Live {
        Live {
            requests,
            ended: report.total.requests,
            failed: report.total.failed,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            elapsed: self.start.elapsed(),
            ttft_p50: report.total.ttft.quantile(0.5),
        }
    }
}

/// A request that is ready to go.
struct Job {
    number: u64,
    due: Instant,
    class: Arc<str>,
    model: Arc<str>,
    body: bytes::Bytes,
}

/// Where a run's outcomes go.
type Outcomes = mpsc::Sender<Outcome>;
