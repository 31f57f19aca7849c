//! What came out of one run.

use serde::{Deserialize, Serialize};

/// Points of the distribution functions that are kept for plots.
pub(crate) const CURVE_POINTS: usize = 41;

/// Times of all requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    all: Vec<f64>,
    sorted: bool,
}

/// A distribution in four figures, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantile {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, value: f64) {
        self.all.push(value);
        self.sorted = false;
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.all.sort_by(f64::total_cmp);
            self.sorted = true;
        }
    }

    /// The value below which a share `q` of all lie, between two of them interpolated; 0 of none.
    pub(crate) fn at(&mut self, q: f64) -> f64 {
        self.sort();
        let Some(last) = self.all.len().checked_sub(1) else {
            return 0.0;
        };
        let place = q * last as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        let high = (low + 1).min(last);
        self.all[low] + part * (self.all[high] - self.all[low])
    }

    pub(crate) fn quantile(&mut self) -> Quantile {
        let sum: f64 = self.all.iter().sum();
        Quantile {
            mean: sum / self.all.len().max(1) as f64,
            p50: self.at(0.50),
            p90: self.at(0.90),
            p99: self.at(0.99),
        }
    }

    /// The quantile function at [`CURVE_POINTS`] equal steps.
    pub(crate) fn curve(&mut self) -> Vec<f64> {
        let step = 1.0 / (CURVE_POINTS - 1) as f64;
        (0..CURVE_POINTS)
            .map(|at| self.at(at as f64 * step))
            .collect()
    }
}

/// What counts as a good answer: both bounds are kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Time to the first token, seconds.
    pub ttft_secs: f64,
    /// Time per token after the first, seconds.
    pub tpot_secs: f64,
}

/// One policy, one load, one seed. Times are what the client sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Requests that count: those after the warm-up.
    pub requests: u64,
    /// Of those, requests that ended in an error.
    pub failed: u64,
    /// Time to the first token, seconds.
    pub ttft: Quantile,
    /// Time per token after the first, seconds.
    pub tpot: Quantile,
    /// Time to the last token, seconds.
    pub e2e: Quantile,
    /// Share of requests within the service level, failures counted against it.
    pub goodput: f64,
    /// Good requests per second.
    pub good_per_sec: f64,
    /// Share of prompt tokens found in a cache.
    pub hit: f64,
    /// Tokens emitted per second, from the first arrival to the last token.
    pub output_tokens_per_sec: f64,
    /// Most requests of a server over the mean.
    pub imbalance: f64,
    /// Preemptions per request.
    pub preemptions: f64,
    /// From the last arrival to the last token, seconds.
    pub drain_secs: f64,
    /// Quantile function of the time to the first token, in equal steps.
    pub ttft_curve: Vec<f64>,
}

/// One figure of a score, for tables.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Key in JSON and CSV.
    pub key: &'static str,
    /// Head of a table's column.
    pub title: &'static str,
    /// Whether less is better; `None` where it depends.
    pub less_is_better: Option<bool>,
    /// Reads it.
    pub of: fn(&Score) -> f64,
}

macro_rules! metric {
    ($key:literal, $title:literal, $better:expr, $($path:ident).+) => {
        Metric { key: $key, title: $title, less_is_better: $better, of: |score| score.$($path).+ }
    };
}

/// Every figure.
pub const METRICS: &[Metric] = &[
    metric!("ttft_mean", "TTFT mean", Some(true), ttft.mean),
    metric!("ttft_p50", "TTFT p50", Some(true), ttft.p50),
    metric!("ttft_p90", "TTFT p90", Some(true), ttft.p90),
    metric!("ttft_p99", "TTFT p99", Some(true), ttft.p99),
    metric!("tpot_p50", "TPOT p50", Some(true), tpot.p50),
    metric!("tpot_p90", "TPOT p90", Some(true), tpot.p90),
    metric!("e2e_mean", "E2E mean", Some(true), e2e.mean),
    metric!("e2e_p50", "E2E p50", Some(true), e2e.p50),
    metric!("e2e_p90", "E2E p90", Some(true), e2e.p90),
    metric!("goodput", "goodput", Some(false), goodput),
    metric!("good_per_sec", "good/s", Some(false), good_per_sec),
    metric!("hit", "hit", None, hit),
    metric!(
        "output_tokens_per_sec",
        "out tok/s",
        Some(false),
        output_tokens_per_sec
    ),
    metric!("imbalance", "imbalance", None, imbalance),
    metric!("preemptions", "preempt", Some(true), preemptions),
    metric!("drain_secs", "drain s", Some(true), drain_secs),
];

/// The figure of that key.
#[must_use]
pub fn metric(key: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.key == key)
}
