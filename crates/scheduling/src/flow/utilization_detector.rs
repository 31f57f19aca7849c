//! `utilization-detector`: how full a pool is by the gauges of its servers. As a filter it drops
//! servers that are full or have not been heard of.

use std::time::Duration;

use rand::Rng;
use resources::GoDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::settings::{Detector, Setting};
use crate::{Field, Filter, Reads};

pub(crate) const KIND: Kind =
    Kind::new::<UtilizationDetector>("utilization-detector", Roles::DETECTOR.and(Roles::FILTER));

/// Keeps servers with `queue < threshold · (1 + headroom)` and the same of their KV use, by gauges
/// that are not stale; all of them when none is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UtilizationDetector {
    /// Waiting requests at which a server is full, above 0.
    pub queue_depth_threshold: i64,
    /// Share of KV space in use at which a server is full, in (0, 1].
    pub kv_cache_util_threshold: f64,
    /// Gauges older than this say nothing, above 0.
    pub metrics_staleness_threshold: GoDuration,
    /// How much more than full the filter allows, as a share; 0 or more.
    pub headroom: f64,
}

impl Default for UtilizationDetector {
    fn default() -> Self {
        Self {
            queue_depth_threshold: 5,
            kv_cache_util_threshold: 0.8,
            metrics_staleness_threshold: Duration::from_millis(200).into(),
            headroom: 0.0,
        }
    }
}

impl PluginType for UtilizationDetector {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let queue = self.queue_depth_threshold;
        build.require(queue > 0, "queueDepthThreshold", queue, "> 0");
        let kv = self.kv_cache_util_threshold;
        build.require(
            kv > 0.0 && kv <= 1.0,
            "kvCacheUtilThreshold",
            kv,
            "in (0, 1]",
        );
        let stale = self.metrics_staleness_threshold;
        let path = "metricsStalenessThreshold";
        build.require(stale.nanos > 0, path, stale, "above 0s");
        build.require(self.headroom >= 0.0, "headroom", self.headroom, ">= 0");
        if self.headroom > 1.0 {
            build.warn(
                "headroom",
                "a headroom above 1 lets servers take twice their limit",
            );
        }
        Instance {
            setting: Some(Setting::Detector(Detector::Utilization(self.clone()))),
            ..Instance::filter(self)
        }
    }
}

impl Filter for UtilizationDetector {
    fn reads(&self) -> Reads {
        Reads::QUEUE | Reads::KV | Reads::AGE
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let factor = 1.0 + self.headroom;
        let queue = self.queue_depth_threshold as f64 * factor;
        let kv = self.kv_cache_util_threshold * factor;
        let stale = self.metrics_staleness_threshold.get();
        let fits = |&index: &u32| {
            let signals = &field.state(index).signals;
            signals.age.is_some_and(|age| age <= stale)
                && f64::from(signals.scraped.waiting) < queue
                && f64::from(signals.scraped.kv_usage) < kv
        };
        if kept.iter().any(fits) {
            kept.retain(fits);
        }
    }
}
