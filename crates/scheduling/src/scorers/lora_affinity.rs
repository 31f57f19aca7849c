//! `lora-affinity-scorer`: whether an endpoint has the adapter at hand.

use signals::AdapterState;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<LoraAffinity>("lora-affinity-scorer", Roles::SCORER).lenient();

impl PluginType for LoraAffinity {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::scorer(self).needing(Data::CoreMetrics, "")
    }
}

/// With the target model as the adapter: 1 where it runs, 0.8 where a slot is free, 0.6 where
/// requests for it wait already, 0 elsewhere and where no adapters are reported.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LoraAffinity {}

impl Scorer for LoraAffinity {
    fn reads(&self) -> Reads {
        Reads::LORA
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        for (out, &index) in out.iter_mut().zip(kept) {
            // Most pools serve no adapters; the names are not looked at then.
            if !field.state(index).signals.reports_adapters {
                continue;
            }
            let adapters = field.endpoints[index as usize].signals().lora();
            *out = match adapters.state_of(field.query.model) {
                AdapterState::Running => 1.0,
                AdapterState::RoomToLoad => 0.8,
                AdapterState::Waiting => 0.6,
                AdapterState::Full => 0.0,
            };
        }
    }
}
