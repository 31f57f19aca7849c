//! `probabilistic-admitter`: the fuller the pool, the fewer of the requests that may be dropped.

use std::sync::Arc;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::draw::happens;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Admitter, Field};

pub(super) const KIND: Kind = Kind::new::<Probabilistic>("probabilistic-admitter", Roles::ADMITTER);

/// Refuses requests of priority below 0 with probability `min(s^power · k, 1)`, with `s` the mean
/// over endpoints of the fuller of queue and KV space; an endpoint that was never scraped counts 1.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Probabilistic {
    /// Waiting requests at which an endpoint is full, above 0.
    queue_depth_threshold: f64,
    /// Share of KV space at which an endpoint is full, above 0.
    kv_cache_util_threshold: f64,
    /// Above 0.
    power: f64,
    /// Above 0.
    k: f64,
}

impl Default for Probabilistic {
    fn default() -> Self {
        Self {
            queue_depth_threshold: 5.0,
            kv_cache_util_threshold: 0.8,
            power: 5.0,
            k: 300.0,
        }
    }
}

impl PluginType for Probabilistic {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let values = [
            ("queueDepthThreshold", self.queue_depth_threshold),
            ("kvCacheUtilThreshold", self.kv_cache_util_threshold),
            ("power", self.power),
            ("k", self.k),
        ];
        for (path, value) in values {
            build.require(value > 0.0, path, value, "> 0");
        }
        Instance {
            admitter: Some(Arc::new(self)),
            ..Instance::default()
        }
    }
}

impl Probabilistic {
    fn fullness(&self, field: &Field<'_>, index: u32) -> f64 {
        let signals = &field.state(index).signals;
        if signals.age.is_none() {
            return 1.0;
        }
        let queue = f64::from(signals.scraped.waiting) / self.queue_depth_threshold;
        let kv = f64::from(signals.scraped.kv_usage) / self.kv_cache_util_threshold;
        queue.max(kv)
    }
}

impl Admitter for Probabilistic {
    fn admit(&self, field: &Field<'_>, kept: &[u32], rng: &mut dyn Rng) -> Result<(), String> {
        if field.query.priority >= 0 || kept.is_empty() {
            return Ok(());
        }
        let sum: f64 = kept.iter().map(|&index| self.fullness(field, index)).sum();
        let fullness = sum / kept.len() as f64;
        if happens(fullness.powf(self.power) * self.k, rng) {
            Err(format!(
                "the pool is {fullness:.2} full and requests of priority {} are dropped in proportion",
                field.query.priority
            ))
        } else {
            Ok(())
        }
    }
}
