//! `latency-slo-admitter`: requests that may be dropped and that no endpoint can serve in time.

use std::sync::Arc;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Admitter, Field};

pub(super) const KIND: Kind = Kind::new::<LatencySlo>("latency-slo-admitter", Roles::ADMITTER);

/// KV use below which an endpoint has hardly begun.
const COLD_KV: f32 = 0.02;

/// Refuses a request of priority below 0 with a latency objective, if there are predictions and no
/// endpoint is expected to keep to it, idle, or hardly begun.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LatencySlo {
    /// Name of the producer of latencies; the usual one when empty.
    latency_prediction_info_producer_name: String,
}

impl PluginType for LatencySlo {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let producer = self.latency_prediction_info_producer_name.clone();
        Instance {
            admitter: Some(Arc::new(self)),
            ..Instance::default()
        }
        .needing(Data::Latency, &producer)
    }
}

impl Admitter for LatencySlo {
    fn admit(&self, field: &Field<'_>, kept: &[u32], _: &mut dyn Rng) -> Result<(), String> {
        if field.query.priority >= 0 || !field.query.slo.is_some() {
            return Ok(());
        }
        let mut predicted = false;
        for &index in kept {
            let gauges = field.state(index).signals.scraped;
            if gauges.running == 0 || gauges.kv_usage < COLD_KV {
                return Ok(());
            }
            if let Some(known) = field.findings.prediction(index) {
                predicted = true;
                if known.ttft_valid && known.tpot_valid {
                    return Ok(());
                }
            }
        }
        if predicted {
            Err("no endpoint is expected to keep to the latencies asked for".to_owned())
        } else {
            Ok(())
        }
    }
}
