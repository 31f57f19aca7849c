//! How fast an endpoint prefills, learned from the first tokens of our own requests.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::Time;

/// Seconds a request costs before any token, before anything was learned: a step of the engine.
const PRIOR_PER_REQUEST_SECS: f64 = 0.010;
/// Seconds per unit of [`crate::Load::prefill_work`], before anything was learned.
const PRIOR_PER_WORK_SECS: f64 = 1.0 / 20_000.0;
/// Amounts of work of the two imaginary observations that carry the prior.
const PRIOR_WORK: [f64; 2] = [200.0, 4_000.0];
/// How much the past weighs at each new observation: a memory of about fifty requests.
const MEMORY: f64 = 0.98;

/// The cost of prefill on an endpoint: `per_request + per_work × work`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefillPace {
    /// Seconds per request, whatever its size.
    pub per_request_secs: f32,
    /// Seconds per unit of [`crate::Load::prefill_work`].
    pub per_work_secs: f32,
    /// First tokens seen so far; 0 = these are generic constants.
    pub samples: u32,
}

impl Default for PrefillPace {
    fn default() -> Self {
        Self {
            per_request_secs: PRIOR_PER_REQUEST_SECS as f32,
            per_work_secs: PRIOR_PER_WORK_SECS as f32,
            samples: 0,
        }
    }
}

impl PrefillPace {
    /// Seconds of prefill for so many requests with so much work in total.
    #[must_use]
    #[inline]
    pub fn seconds(&self, requests: f32, work: f32) -> f32 {
        self.per_request_secs * requests + self.per_work_secs * work
    }
}

/// Decayed sums of a straight-line fit `time = a + b × work`.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    busy_since: Time,
    count: f64,
    work: f64,
    work_squared: f64,
    time: f64,
    work_time: f64,
}

impl Sums {
    fn add(&mut self, work: f64, time: f64, memory: f64) {
        self.count = self.count * memory + 1.0;
        self.work = self.work * memory + work;
        self.work_squared = self.work_squared * memory + work * work;
        self.time = self.time * memory + time;
        self.work_time = self.work_time * memory + work * time;
    }

    /// Least squares over the observations and the two of the prior, which keeps the fit defined
    /// while all requests have the same size. Neither constant may become negative.
    fn solve(mut self) -> (f64, f64) {
        for work in PRIOR_WORK {
            self.add(
                work,
                PRIOR_PER_REQUEST_SECS + PRIOR_PER_WORK_SECS * work,
                1.0,
            );
        }
        let spread = self.count * self.work_squared - self.work * self.work;
        let slope = (self.count * self.work_time - self.work * self.time) / spread;
        let offset = (self.time - slope * self.work) / self.count;
        if offset < 0.0 {
            (0.0, self.work_time / self.work_squared)
        } else if slope <= 0.0 {
            // All cost is per request; keep a trace of slope so that tokens still order.
            (self.time / self.count, 1e-9)
        } else {
            (offset, slope)
        }
    }
}

/// The estimator of one endpoint.
///
/// A server prefills one after another, so while anything of ours is before its first token, the
/// time between two first tokens is the service time of the later one. Read without locks; the
/// lock is taken once per request, to learn.
#[derive(Debug)]
pub(super) struct Pace {
    per_request_secs: AtomicU32,
    per_work_secs: AtomicU32,
    samples: AtomicU32,
    sums: Mutex<Sums>,
}

impl Default for Pace {
    fn default() -> Self {
        let prior = PrefillPace::default();
        Self {
            per_request_secs: AtomicU32::new(prior.per_request_secs.to_bits()),
            per_work_secs: AtomicU32::new(prior.per_work_secs.to_bits()),
            samples: AtomicU32::new(0),
            sums: Mutex::default(),
        }
    }
}

impl Pace {
    pub(super) fn read(&self) -> PrefillPace {
        PrefillPace {
            per_request_secs: f32::from_bits(self.per_request_secs.load(Relaxed)),
            per_work_secs: f32::from_bits(self.per_work_secs.load(Relaxed)),
            samples: self.samples.load(Relaxed),
        }
    }

    /// The endpoint had nothing of ours to prefill, and now it has.
    pub(super) fn busy_from(&self, now: Time) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.busy_since = sums.busy_since.max(now);
    }

    /// A request of `work` produced its first token.
    pub(super) fn observe(&self, work: u64, now: Time) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = now.saturating_since(sums.busy_since);
        sums.busy_since = sums.busy_since.max(now);
        sums.add(work as f64, taken.as_secs_f64(), MEMORY);
        let (per_request, per_work) = sums.solve();
        self.per_request_secs
            .store((per_request as f32).to_bits(), Relaxed);
        self.per_work_secs
            .store((per_work as f32).to_bits(), Relaxed);
        self.samples.fetch_add(1, Relaxed);
    }
}
