//! How full a pool is: the reference's `utilization-detector`, on our ledger-corrected signals.

use std::sync::Arc;

use signals::{Endpoint, Time};

/// When one endpoint counts as full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Waiting requests at which an endpoint is full. Default 5.
    pub queue_depth: u32,
    /// Share of KV blocks in use (0 to 1) at which an endpoint is full. Default 0.8.
    pub kv_usage: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            queue_depth: 5,
            kv_usage: 0.8,
        }
    }
}

/// Computes the saturation of a pool.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    /// The thresholds in force.
    pub thresholds: Thresholds,
}

impl Detector {
    /// Mean over endpoints of `max(queue / threshold, kv / threshold)`; 1.0 for an empty pool.
    ///
    /// An endpoint without fresh signals counts 1.0, as in the reference: a pool one knows nothing about
    /// is no place for work that may be dropped.
    #[must_use]
    pub fn saturation(&self, endpoints: &[Arc<Endpoint>], now: Time) -> f64 {
        if endpoints.is_empty() {
            return 1.0;
        }
        let sum: f64 = endpoints
            .iter()
            .map(|endpoint| self.endpoint(endpoint, now))
            .sum();
        sum / endpoints.len() as f64
    }

    fn endpoint(&self, endpoint: &Endpoint, now: Time) -> f64 {
        let signals = endpoint.signals().view(now);
        if !signals.fresh {
            return 1.0;
        }
        let queue =
            f64::from(signals.corrected.waiting) / f64::from(self.thresholds.queue_depth.max(1));
        let kv = f64::from(signals.corrected.kv_usage)
            / f64::from(self.thresholds.kv_usage.max(f32::EPSILON));
        queue.max(kv)
    }
}
