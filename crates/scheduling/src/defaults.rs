//! The profiles that need no configuration.

use std::sync::Arc;

use crate::filters::Health;
use crate::pickers::RoundRobin;
use crate::profile::{Named, Weighted};
use crate::scorers::{
    GaugeParameters, KvCacheUtilization, LoraAffinity, MinCost, PrefixMatch, Queue, Reading,
};
use crate::{Profile, Scorer};

fn weighted(name: &str, weight: f32, plugin: impl Scorer + 'static) -> Weighted {
    Weighted {
        name: name.into(),
        weight,
        plugin: Arc::new(plugin),
    }
}

fn healthy() -> Profile {
    let mut profile = Profile::empty("default");
    profile.filters.push(Named {
        name: "health-filter".into(),
        plugin: Arc::new(Health {}),
    });
    profile
}

/// The estimated cost decides. The others are worth a few hundredths of it each: they settle
/// near-ties, and carry the decision while all costs are equal.
pub(crate) fn default_profile() -> Profile {
    let gauges = GaugeParameters {
        gauges: Reading::Corrected,
    };
    let mut profile = healthy();
    profile.scorers = vec![
        weighted("min-cost-scorer", 10.0, MinCost::default()),
        weighted("queue-scorer", 0.5, Queue(gauges)),
        weighted(
            "kv-cache-utilization-scorer",
            0.5,
            KvCacheUtilization(gauges),
        ),
        weighted("prefix-cache-scorer", 0.5, PrefixMatch::default()),
        weighted("lora-affinity-scorer", 0.5, LoraAffinity {}),
    ];
    profile.seal();
    profile
}

pub(crate) fn round_robin_profile() -> Profile {
    let mut profile = healthy();
    profile.picker = Arc::new(RoundRobin::default());
    profile.seal();
    profile
}
