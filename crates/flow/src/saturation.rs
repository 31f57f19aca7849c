//! How full a pool is: the reference's `utilization-detector` on our ledger-corrected signals, and its
//! `concurrency-detector` on the ledger itself.

use std::sync::Arc;
use std::time::Duration;

use signals::{Endpoint, STALE_AFTER, Time};

/// When the gauges of one endpoint say that it is full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Waiting requests at which an endpoint is full, 1 or more. Default 5.
    pub queue_depth: u32,
    /// Share of KV blocks in use (0 to 1) at which an endpoint is full. Default 0.8.
    pub kv_usage: f32,
    /// Gauges older than this say nothing. Default [`STALE_AFTER`].
    pub stale_after: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            queue_depth: 5,
            kv_usage: 0.8,
            stale_after: STALE_AFTER,
        }
    }
}

/// How many of our own requests make an endpoint full. With both limits, the fuller one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight.
    pub requests: Option<u64>,
    /// Prompt tokens in flight that are yet to be computed.
    pub tokens: Option<u64>,
}

/// Computes the saturation of a pool.
#[derive(Debug, Clone, PartialEq)]
pub enum Detector {
    /// By what servers say.
    Utilization(Thresholds),
    /// By what we sent them.
    Concurrency(Limits),
}

impl Default for Detector {
    fn default() -> Self {
        Detector::Utilization(Thresholds::default())
    }
}

impl Detector {
    /// Mean fullness over endpoints, 1.0 and above when the pool takes no more; 1.0 for an empty pool.
    ///
    /// By gauges an endpoint is as full as the fuller of queue and KV space, and one without fresh gauges
    /// counts 1.0, as in the reference: a pool one knows nothing about is no place for work that may be dropped.
    #[must_use]
    pub fn saturation(&self, endpoints: &[Arc<Endpoint>], now: Time) -> f64 {
        if endpoints.is_empty() {
            return 1.0;
        }
        let fullness = |endpoint: &Arc<Endpoint>| match self {
            Detector::Utilization(thresholds) => thresholds.fullness(endpoint, now),
            Detector::Concurrency(limits) => limits.fullness(endpoint),
        };
        let sum: f64 = endpoints.iter().map(fullness).sum();
        sum / endpoints.len() as f64
    }
}

impl Thresholds {
    fn fullness(&self, endpoint: &Endpoint, now: Time) -> f64 {
        let signals = endpoint.signals().view(now);
        if signals.age.is_none_or(|age| age > self.stale_after) {
            return 1.0;
        }
        let queue = f64::from(signals.corrected.waiting) / f64::from(self.queue_depth.max(1));
        let kv = f64::from(signals.corrected.kv_usage) / f64::from(self.kv_usage.max(f32::EPSILON));
        queue.max(kv)
    }
}

impl Limits {
    fn fullness(&self, endpoint: &Endpoint) -> f64 {
        let load = endpoint.ledger().view();
        let share = |used: u64, limit: Option<u64>| match limit {
            None => 0.0,
            // Nothing fits into nothing.
            Some(0) => 1.0,
            Some(limit) => used as f64 / limit as f64,
        };
        share(load.requests, self.requests).max(share(load.prefill_tokens, self.tokens))
    }
}

#[cfg(test)]
mod tests;
