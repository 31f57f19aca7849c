//! `slo-headroom-tier-filter`: the endpoints that are expected to be fast enough.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::draw::happens;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads};

pub(super) const KIND: Kind =
    Kind::new::<SloHeadroomTier>("slo-headroom-tier-filter", Roles::FILTER);

/// Keeps the endpoints with headroom for both latencies, if there are any; now and then the
/// others instead, so that what is known of them does not grow old.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SloHeadroomTier {
    /// Share of requests for which the others are kept, in [0, 1].
    epsilon_explore_neg: f64,
    /// Name of the producer of latencies; the usual one when empty.
    latency_prediction_info_producer_name: String,
}

impl Default for SloHeadroomTier {
    fn default() -> Self {
        Self {
            epsilon_explore_neg: 0.01,
            latency_prediction_info_producer_name: String::new(),
        }
    }
}

impl PluginType for SloHeadroomTier {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let share = self.epsilon_explore_neg;
        let path = "epsilonExploreNeg";
        build.require((0.0..=1.0).contains(&share), path, share, "in [0, 1]");
        let producer = self.latency_prediction_info_producer_name.clone();
        Instance::filter(self).needing(Data::Latency, &producer)
    }
}

impl Filter for SloHeadroomTier {
    fn reads(&self) -> Reads {
        Reads::LATENCY
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, rng: &mut dyn Rng) {
        let predicted = |&index: &u32| field.findings.prediction(index).is_some();
        if kept.len() <= 1 || !kept.iter().any(predicted) {
            return;
        }
        let fast = |&index: &u32| {
            let prediction = field.findings.prediction(index);
            prediction
                .is_some_and(|known| known.ttft_headroom_ms >= 0.0 && known.tpot_headroom_ms >= 0.0)
        };
        let number = kept.iter().filter(|index| fast(index)).count();
        if number == 0 || number == kept.len() {
            return;
        }
        let explore = happens(self.epsilon_explore_neg, rng);
        kept.retain(|index| fast(index) != explore);
    }
}
