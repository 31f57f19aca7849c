//! `kv-cache-utilization-scorer`: how much KV space an endpoint has left.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GaugeParameters;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<KvCacheUtilization>("kv-cache-utilization-scorer", Roles::SCORER).lenient();

impl PluginType for KvCacheUtilization {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::scorer(self).needing(Data::CoreMetrics, "")
    }
}

/// `1 − usage`, with usage a share of 0..=1; what is beyond is cut off by the profile.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KvCacheUtilization(pub(crate) GaugeParameters);

impl Scorer for KvCacheUtilization {
    fn reads(&self) -> Reads {
        Reads::KV
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        self.0
            .gauges
            .score_each(field, kept, out, |gauges| 1.0 - gauges.kv_usage);
    }
}
