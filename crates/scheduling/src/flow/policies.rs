//! Policies of flow control: which flow, which request of it, how much of the pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::parameterless;
use crate::settings::{Eviction, Fairness, Ordering, Setting, UsageLimit};

parameterless!(Plain);

impl PluginType for Plain {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let setting = match build.kind() {
            "round-robin-fairness-policy" => Setting::Fairness(Fairness::RoundRobin),
            "fcfs-ordering-policy" => Setting::Ordering(Ordering::Fcfs),
            "edf-ordering-policy" => Setting::Ordering(Ordering::EarliestDeadline),
            "slo-deadline-ordering-policy" => Setting::Ordering(Ordering::SloDeadline),
            "soft-reflective-ceiling-policy" => Setting::UsageLimit(UsageLimit::SoftReflective),
            "sheddable-eviction-filter" => Setting::Eviction(Eviction::SheddableOnly),
            "priority-then-time-eviction-order-policy" => {
                Setting::Eviction(Eviction::PriorityThenTime)
            }
            _ => Setting::Fairness(Fairness::GlobalStrict),
        };
        Instance::setting(setting)
    }
}

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<Plain>("global-strict-fairness-policy", Roles::FAIRNESS).lenient(),
    Kind::new::<Plain>("round-robin-fairness-policy", Roles::FAIRNESS).lenient(),
    Kind::new::<LeastAttainedService>("program-aware-fairness", Roles::FAIRNESS),
    Kind::new::<Plain>("fcfs-ordering-policy", Roles::ORDERING).lenient(),
    Kind::new::<Plain>("edf-ordering-policy", Roles::ORDERING).lenient(),
    Kind::new::<Plain>("slo-deadline-ordering-policy", Roles::ORDERING).lenient(),
    Kind::new::<StaticLimit>("static-usage-limit-policy", Roles::USAGE_LIMIT),
    Kind::new::<HoldbackPolicy>("priority-holdback-policy", Roles::USAGE_LIMIT).alpha(),
    Kind::new::<Plain>("soft-reflective-ceiling-policy", Roles::USAGE_LIMIT).alpha(),
    Kind::new::<Plain>("sheddable-eviction-filter", Roles::EVICTION)
        .alpha()
        .lenient(),
    Kind::new::<Plain>("priority-then-time-eviction-order-policy", Roles::EVICTION)
        .alpha()
        .lenient(),
];

/// How `program-aware-fairness` chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStrategy {
    /// Least attained service.
    #[default]
    Las,
}

/// `program-aware-fairness`: the program that has had the least service lately goes first, weighed
/// against how long its first request has waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeastAttainedService {
    /// How it chooses.
    pub strategy: ServiceStrategy,
    /// Seconds after which an idle program is forgotten.
    pub eviction_ttl_seconds: f64,
    /// Seconds between two looks for idle programs.
    pub eviction_sweep_seconds: f64,
    /// Weight of the service had.
    pub las_weight_service: f64,
    /// Weight of the wait.
    pub las_weight_head_wait: f64,
    /// Seconds in which service counts half; 0 = it always counts in full.
    pub las_half_life_seconds: f64,
}

impl Default for LeastAttainedService {
    fn default() -> Self {
        Self {
            strategy: ServiceStrategy::Las,
            eviction_ttl_seconds: 3600.0,
            eviction_sweep_seconds: 300.0,
            las_weight_service: 0.8,
            las_weight_head_wait: 0.2,
            las_half_life_seconds: 60.0,
        }
    }
}

impl PluginType for LeastAttainedService {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let least = [
            ("evictionTtlSeconds", self.eviction_ttl_seconds),
            ("lasWeightService", self.las_weight_service),
            ("lasWeightHeadWait", self.las_weight_head_wait),
            ("lasHalfLifeSeconds", self.las_half_life_seconds),
        ];
        for (path, value) in least {
            build.require(value >= 0.0, path, value, ">= 0");
        }
        let sweep = self.eviction_sweep_seconds;
        build.require(sweep > 0.0, "evictionSweepSeconds", sweep, "> 0");
        Instance::setting(Setting::Fairness(Fairness::LeastAttainedService(self)))
    }
}

/// `static-usage-limit-policy`: all priorities may use the same share of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticLimit {
    /// The share; 1 = all of it.
    pub threshold: f64,
}

impl Default for StaticLimit {
    fn default() -> Self {
        Self { threshold: 1.0 }
    }
}

impl PluginType for StaticLimit {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.threshold.is_nan() || self.threshold <= 0.0 {
            let message = "a threshold that is not above 0 lets no request through";
            build.warn("threshold", message);
        }
        Instance::setting(Setting::UsageLimit(UsageLimit::Static(self)))
    }
}

/// How `priority-holdback-policy` goes from one ceiling to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldbackShape {
    /// In equal steps.
    #[default]
    Linear,
}

/// What `priority-holdback-policy` steps along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldbackDomain {
    /// The place of a priority among all.
    #[default]
    Rank,
    /// The priority itself.
    Value,
}

/// `priority-holdback-policy`: the lower a priority, the less of the pool it may fill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldbackPolicy {
    /// How the ceiling falls.
    pub shape: HoldbackShape,
    /// What it falls along.
    pub domain: HoldbackDomain,
    /// Ceiling of the lowest priority, in [0, 1).
    #[schemars(required)]
    pub min_ceiling: Option<f64>,
    /// Ceiling of the highest priority, in (0, 1].
    pub max_ceiling: f64,
}

impl Default for HoldbackPolicy {
    fn default() -> Self {
        Self {
            shape: HoldbackShape::Linear,
            domain: HoldbackDomain::Rank,
            min_ceiling: None,
            max_ceiling: 1.0,
        }
    }
}

impl PluginType for HoldbackPolicy {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let most = self.max_ceiling;
        build.require(most > 0.0 && most <= 1.0, "maxCeiling", most, "in (0, 1]");
        match self.min_ceiling {
            None => build.fault("minCeiling", "minCeiling is required, a number in [0, 1)"),
            Some(least) => {
                build.require(
                    (0.0..1.0).contains(&least),
                    "minCeiling",
                    least,
                    "in [0, 1)",
                );
                build.require(least < most, "minCeiling", least, "below maxCeiling");
            }
        }
        Instance::setting(Setting::UsageLimit(UsageLimit::Holdback(self)))
    }
}
