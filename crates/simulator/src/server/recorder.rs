//! Books of a server: histograms in vLLM's buckets, counts of ended requests, adapter rows, lag.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::engine::{AdapterId, FinishReason, Gauges, Nanos, Summary};

/// Buckets of `time_to_first_token_seconds`.
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
/// Buckets of the times between tokens.
const BETWEEN_TOKENS: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];
/// Buckets of a request's phases.
const PHASE: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];
/// Buckets of token counts: vLLM's 1-2-5 series.
const TOKENS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0,
    20_000.0, 50_000.0, 100_000.0,
];
/// Adapter rows kept. vLLM keeps every combination it has ever seen.
const ADAPTER_ROWS_MAX: usize = 64;

/// A cumulative histogram with fixed buckets.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) bounds: &'static [f64],
    /// Observations in each bucket, not cumulated; the last is the one without a bound.
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }
}

/// One row of `lora_requests_info`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AdapterRow {
    pub(super) running: Vec<AdapterId>,
    pub(super) waiting: Vec<AdapterId>,
    /// When the combination was last true, unix seconds.
    pub(super) seen_s: f64,
}

/// All histograms and counts. Times are simulated, but for the lag.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) first_token: Histogram,
    pub(super) between_tokens: Histogram,
    pub(super) per_output_token: Histogram,
    pub(super) end_to_end: Histogram,
    pub(super) queue: Histogram,
    pub(super) inference: Histogram,
    pub(super) prefill: Histogram,
    pub(super) decode: Histogram,
    pub(super) prompt_tokens: Histogram,
    pub(super) generation_tokens: Histogram,
    /// Requests whose output ended by itself.
    pub(super) stopped: u64,
    /// Requests whose output ended at a limit.
    pub(super) limited: u64,
    /// Requests whose client went away.
    pub(super) aborted: u64,
    pub(super) adapter_rows: VecDeque<AdapterRow>,
    pub(super) lag_max: Duration,
    lag_sum: Duration,
    lag_count: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            first_token: Histogram::new(FIRST_TOKEN),
            between_tokens: Histogram::new(BETWEEN_TOKENS),
            per_output_token: Histogram::new(BETWEEN_TOKENS),
            end_to_end: Histogram::new(PHASE),
            queue: Histogram::new(PHASE),
            inference: Histogram::new(PHASE),
            prefill: Histogram::new(PHASE),
            decode: Histogram::new(PHASE),
            prompt_tokens: Histogram::new(TOKENS),
            generation_tokens: Histogram::new(TOKENS),
            stopped: 0,
            limited: 0,
            aborted: 0,
            adapter_rows: VecDeque::new(),
            lag_max: Duration::ZERO,
            lag_sum: Duration::ZERO,
            lag_count: 0,
        }
    }
}

impl Recorder {
    /// Books a token that came `since` the one before it, or since the arrival.
    pub(super) fn token(&mut self, since: Nanos, first: bool) {
        let histogram = if first {
            &mut self.first_token
        } else {
            &mut self.between_tokens
        };
        histogram.observe(seconds(since));
    }

    /// Books a request that is over.
    pub(super) fn ended(&mut self, summary: &Summary, limited: bool) {
        if summary.reason == FinishReason::Aborted {
            self.aborted += 1;
            return;
        }
        *(if limited {
            &mut self.limited
        } else {
            &mut self.stopped
        }) += 1;
        let scheduled = summary.scheduled.unwrap_or(summary.finished);
        let first = summary.first_token.unwrap_or(summary.finished);
        let decode = seconds(summary.finished - first);
        self.end_to_end
            .observe(seconds(summary.finished - summary.arrived));
        self.queue.observe(seconds(scheduled - summary.arrived));
        self.inference
            .observe(seconds(summary.finished - scheduled));
        self.prefill.observe(seconds(first - scheduled));
        self.decode.observe(decode);
        self.prompt_tokens.observe(f64::from(summary.prompt_tokens));
        self.generation_tokens
            .observe(f64::from(summary.output_tokens));
        if summary.output_tokens > 1 {
            self.per_output_token
                .observe(decode / f64::from(summary.output_tokens - 1));
        }
    }

    /// Books how late the driver came to the end of a step, real time.
    pub(super) fn lag(&mut self, late: Duration) {
        self.lag_max = self.lag_max.max(late);
        self.lag_sum += late;
        self.lag_count += 1;
    }

    /// Mean lag, seconds.
    pub(super) fn lag_mean_s(&self) -> f64 {
        if self.lag_count == 0 {
            0.0
        } else {
            self.lag_sum.as_secs_f64() / self.lag_count as f64
        }
    }

    /// Books which adapters have requests, a row for each combination as vLLM does.
    pub(super) fn adapters(&mut self, gauges: &Gauges) {
        let (running, waiting) = (&gauges.running_adapters, &gauges.waiting_adapters);
        let never = self.adapter_rows.is_empty();
        if never && running.is_empty() && waiting.is_empty() {
            return;
        }
        let seen_s = unix_seconds();
        let same = |row: &&mut AdapterRow| row.running == *running && row.waiting == *waiting;
        if let Some(row) = self.adapter_rows.iter_mut().find(same) {
            row.seen_s = seen_s;
            return;
        }
        if self.adapter_rows.len() == ADAPTER_ROWS_MAX {
            self.adapter_rows.pop_front();
        }
        let (running, waiting) = (running.clone(), waiting.clone());
        self.adapter_rows.push_back(AdapterRow {
            running,
            waiting,
            seen_s,
        });
    }
}

/// Simulated nanoseconds as seconds.
fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// Unix time, seconds; 0 before 1970.
pub(super) fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
