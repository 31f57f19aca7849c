//! A report in figures: what goes into the JSON file and onto the screen.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Report, Tally};
use crate::error::LabError;
use crate::stats::{Distribution, Quantiles};

/// The figures of a run. Times are in the trace's time unless the name says `wall`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What was run, in words: `replay mooncake.jsonl.gz`.
    pub title: String,
    /// Trace time = wall time × this.
    pub time_scale: f64,
    /// Length of the run in real time, seconds.
    pub wall_s: f64,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// All requests.
    pub total: TallySummary,
    /// Gaps between tokens.
    pub itl: Quantiles,
    /// How late requests left, real time.
    pub lag_wall: Quantiles,
    /// Failures by cause.
    pub errors: BTreeMap<String, ErrorSummary>,
    /// By class label.
    pub classes: BTreeMap<String, TallySummary>,
    /// By endpoint.
    pub targets: Vec<TargetSummary>,
    /// By pod that served.
    pub pods: BTreeMap<String, PodSummary>,
    /// The first endpoint's latency over the second's, for paired runs.
    pub added: Option<Added>,
    /// What makes these figures less trustworthy.
    pub warnings: Vec<String>,
}

/// Figures over some requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TallySummary {
    pub requests: u64,
    pub failed: u64,
    pub ttft: Quantiles,
    pub tpot: Quantiles,
    pub e2e: Quantiles,
    pub prompt_tokens: u64,
    pub cached_tokens: Option<u64>,
    pub hit_rate: Option<f64>,
    pub output_tokens: u64,
    pub requests_per_s: f64,
    pub prompt_tokens_per_s: f64,
    pub output_tokens_per_s: f64,
}

/// Failures of one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorSummary {
    /// How many.
    pub count: u64,
    /// What the first one said.
    pub example: String,
}

/// Figures of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetSummary {
    /// The endpoint's URL.
    pub url: String,
    /// Its requests.
    pub tally: TallySummary,
    /// Gaps between its tokens.
    pub itl: Quantiles,
}

/// Figures of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodSummary {
    /// Requests it served.
    pub requests: u64,
    /// Of all that named a pod.
    pub share: f64,
    /// Its prefix-cache hit rate.
    pub hit_rate: Option<f64>,
    /// Its median time to first token.
    pub ttft_p50_ms: f64,
    /// Its 90th percentile.
    pub ttft_p90_ms: f64,
}

/// Latency of the first endpoint minus that of the second. Milliseconds of real time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// Pairs in which both requests succeeded.
    pub pairs: u64,
    /// Difference of the medians of the time to first token.
    pub ttft_p50_ms: f64,
    /// Difference of its 99th percentiles.
    pub ttft_p99_ms: f64,
    /// Median of the differences pair by pair: less disturbed by slow drifts.
    pub ttft_paired_median_ms: f64,
    /// Difference of the medians of the whole time.
    pub e2e_p50_ms: f64,
    /// Difference of its 99th percentiles.
    pub e2e_p99_ms: f64,
}

impl Summary {
    /// The figures of a report.
    #[must_use]
    pub fn of(report: &Report, title: &str) -> Self {
        let scale = report.time_scale;
        let trace_s = report.wall.as_secs_f64() * scale;
        let tally = |tally: &Tally| tally_summary(tally, scale, trace_s);
        let served: u64 = report.pods.values().map(|pod| pod.requests).sum();
        let errors = report.errors.iter().map(|(cause, errors)| {
            let summary = ErrorSummary {
                count: errors.count,
                example: errors.example.clone(),
            };
            (cause.to_string(), summary)
        });
        let targets = report
            .targets
            .iter()
            .map(|(url, requests, gaps)| TargetSummary {
                url: url.clone(),
                tally: tally(requests),
                itl: gaps.quantiles(scale),
            });
        Self {
            title: title.to_owned(),
            time_scale: scale,
            wall_s: report.wall.as_secs_f64(),
            interrupted: report.interrupted,
            total: tally(&report.total),
            itl: report.itl().quantiles(scale),
            lag_wall: report.lag.quantiles(1.0),
            errors: errors.collect(),
            classes: report
                .classes
                .iter()
                .map(|(k, v)| (k.to_string(), tally(v)))
                .collect(),
            targets: targets.collect(),
            pods: report
                .pods
                .iter()
                .map(|(k, v)| (k.to_string(), pod(v, served, scale)))
                .collect(),
            added: report.paired.then(|| added(report)),
            warnings: warnings(report),
        }
    }

    /// Writes the figures as a JSON file.
    ///
    /// # Errors
    /// [`LabError::Write`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LabError> {
        let failed = |source| LabError::Write {
            path: path.to_owned(),
            source,
        };
        let mut text = serde_json::to_string_pretty(self).map_err(|e| failed(e.into()))?;
        text.push('\n');
        std::fs::write(path, text).map_err(failed)
    }

    /// Reads figures written by [`Summary::write`].
    ///
    /// # Errors
    /// [`LabError::Read`] when the file cannot be read or is something else.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let failed = |source| LabError::Read {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        serde_json::from_str(&text).map_err(|error| failed(error.into()))
    }
}

fn tally_summary(tally: &Tally, scale: f64, trace_s: f64) -> TallySummary {
    let per_s = |count: u64| {
        if trace_s > 0.0 {
            count as f64 / trace_s
        } else {
            0.0
        }
    };
    TallySummary {
        requests: tally.requests,
        failed: tally.failed,
        ttft: tally.ttft.quantiles(scale),
        tpot: tally.tpot.quantiles(scale),
        e2e: tally.e2e.quantiles(scale),
        prompt_tokens: tally.prompt_tokens,
        cached_tokens: tally.cached_tokens,
        hit_rate: tally.hit_rate(),
        output_tokens: tally.output_tokens,
        requests_per_s: per_s(tally.requests - tally.failed),
        prompt_tokens_per_s: per_s(tally.prompt_tokens),
        output_tokens_per_s: per_s(tally.output_tokens),
    }
}

fn pod(tally: &Tally, served: u64, scale: f64) -> PodSummary {
    let ttft = tally.ttft.quantiles(scale);
    PodSummary {
        requests: tally.requests,
        share: tally.requests as f64 / served.max(1) as f64,
        hit_rate: tally.hit_rate(),
        ttft_p50_ms: ttft.p50_ms,
        ttft_p90_ms: ttft.p90_ms,
    }
}

fn added(report: &Report) -> Added {
    let [(_, first, _), (_, second, _)] = report.targets.as_slice() else {
        return Added::default();
    };
    let between = |q: f64, of: fn(&Tally) -> &Distribution| {
        let (a, b) = (of(first).quantile(q), of(second).quantile(q));
        (a.as_secs_f64() - b.as_secs_f64()) * 1e3
    };
    let mut differences = paired_ttft(report);
    differences.sort_by(f64::total_cmp);
    Added {
        pairs: differences.len() as u64,
        ttft_p50_ms: between(0.50, |tally| &tally.ttft),
        ttft_p99_ms: between(0.99, |tally| &tally.ttft),
        ttft_paired_median_ms: differences
            .get(differences.len() / 2)
            .copied()
            .unwrap_or(0.0),
        e2e_p50_ms: between(0.50, |tally| &tally.e2e),
        e2e_p99_ms: between(0.99, |tally| &tally.e2e),
    }
}

/// Time to first token of the first target minus the second's, for each complete pair, ms.
pub(super) fn paired_ttft(report: &Report) -> Vec<f64> {
    let mut halves: HashMap<u64, (usize, f64)> = HashMap::new();
    let mut differences = Vec::new();
    for outcome in report
        .outcomes
        .iter()
        .filter(|outcome| outcome.is_success())
    {
        let Some(ttft) = outcome.ttft else { continue };
        let ms = ttft.as_secs_f64() * 1e3;
        match halves.remove(&(outcome.index / 2)) {
            Some((0, first)) => differences.push(first - ms),
            Some((_, second)) => differences.push(ms - second),
            None => {
                halves.insert(outcome.index / 2, (outcome.target, ms));
            }
        }
    }
    differences
}

fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let late = report.lag.quantile(0.99);
    let typical = report.total.ttft.quantile(0.5);
    if late.as_secs_f64() > (typical.as_secs_f64() * 0.1).max(0.001) {
        warnings.push(format!(
            "the load generator itself was late: p99 {:.1} ms of real time against a median time to \
             first token of {:.1} ms; the latencies include it, so lower the rate or the time scale, \
             or raise --max-in-flight",
            late.as_secs_f64() * 1e3,
            typical.as_secs_f64() * 1e3,
        ));
    }
    let lost = report
        .total
        .requests
        .saturating_sub(report.outcomes.len() as u64);
    if report.paired && lost > 0 {
        warnings.push(format!(
            "{lost} requests are not part of the pairwise comparison"
        ));
    }
    if report.interrupted {
        warnings.push("the run was stopped before its end".to_owned());
    }
    warnings
}
