//! `utilization-filter`: endpoints that are not too busy.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads};

pub(super) const KIND: Kind = Kind::new::<Utilization>("utilization-filter", Roles::FILTER).alpha();

/// Keeps endpoints on which every metric is at most its limit; what is not known reads 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Utilization {
    /// The limits, at least one.
    #[schemars(required)]
    conditions: Vec<Condition>,
    /// Keep all endpoints rather than none.
    fallback_on_empty: bool,
    /// Name of the producer of in-flight load; the usual one when empty.
    in_flight_load_producer_name: String,
}

/// A limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    /// What is limited.
    #[schemars(required)]
    metric: Option<Metric>,
    /// The limit, 0 or more; for KV use at most 1.
    #[schemars(required)]
    max_value: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Metric {
    /// Our own requests in flight.
    ActiveRequests,
    /// Scraped requests running.
    RunningRequests,
    /// Scraped requests waiting.
    WaitingQueue,
    /// Scraped share of KV space in use.
    KvCacheUtilization,
}

impl PluginType for Utilization {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.conditions.is_empty() {
            build.fault("conditions", "conditions is empty, want at least one");
        }
        let mut limits = Vec::new();
        for (index, condition) in self.conditions.iter().enumerate() {
            let path = |field: &str| format!("conditions[{index}].{field}");
            if condition.metric.is_none() {
                let message = "metric is required: active-requests, running-requests, waiting-queue or kv-cache-utilization";
                build.fault(&path("metric"), message);
            }
            let Some(most) = condition.max_value else {
                build.fault(&path("maxValue"), "maxValue is required");
                continue;
            };
            let is_share = condition.metric == Some(Metric::KvCacheUtilization);
            let wanted = if is_share { "in [0, 1]" } else { ">= 0" };
            let fits = most >= 0.0 && !(is_share && most > 1.0);
            build.require(fits, &path("maxValue"), most, wanted);
            limits.extend(condition.metric.map(|metric| (metric, most)));
        }
        let own = limits
            .iter()
            .any(|(metric, _)| *metric == Metric::ActiveRequests);
        let scraped = limits
            .iter()
            .any(|(metric, _)| *metric != Metric::ActiveRequests);
        let mut instance = Instance::filter(Limits {
            limits,
            fallback: self.fallback_on_empty,
        });
        if own {
            instance = instance.needing(Data::InFlightLoad, &self.in_flight_load_producer_name);
        }
        if scraped {
            instance = instance.needing(Data::CoreMetrics, "");
        }
        instance
    }
}

#[derive(Debug)]
struct Limits {
    limits: Vec<(Metric, f64)>,
    fallback: bool,
}

impl Filter for Limits {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::QUEUE | Reads::KV
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let fits = |&index: &u32| {
            let state = field.state(index);
            self.limits.iter().all(|(metric, most)| {
                let value = match metric {
                    Metric::ActiveRequests => state.load.requests as f64,
                    Metric::RunningRequests => f64::from(state.signals.scraped.running),
                    Metric::WaitingQueue => f64::from(state.signals.scraped.waiting),
                    Metric::KvCacheUtilization => f64::from(state.signals.scraped.kv_usage),
                };
                value <= *most
            })
        };
        if !self.fallback || kept.iter().any(fits) {
            kept.retain(fits);
        }
    }
}
