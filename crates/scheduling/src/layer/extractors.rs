//! Extractors of data that is not the usual gauges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::parameterless;
use crate::settings::{Extractor, Setting};

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<MulticlusterMetrics>("multicluster-metrics-extractor", Roles::EXTRACTOR).alpha(),
    Kind::new::<Plain>("models-data-extractor", Roles::EXTRACTOR).lenient(),
    Kind::new::<Plain>("dcgm-extractor", Roles::EXTRACTOR)
        .alpha()
        .lenient(),
    Kind::new::<Topology>("topology-extractor", Roles::EXTRACTOR).alpha(),
    Kind::new::<Plain>("mock-metrics-extractor", Roles::EXTRACTOR).lenient(),
];

parameterless!(Plain);

impl PluginType for Plain {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let (extractor, data) = match build.kind() {
            "models-data-extractor" => (Extractor::Models, Data::Models),
            "dcgm-extractor" => (Extractor::Dcgm, Data::GpuUtilization),
            _ => (Extractor::Nothing, Data::CoreMetrics),
        };
        Instance::setting(Setting::Extractor(extractor)).providing(data)
    }
}

/// `multicluster-metrics-extractor`: the aggregate gauges that the picker of another cluster shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MulticlusterMetrics {
    /// Name of the mean KV use.
    pub kv_cache_utilization_metric: String,
    /// Name of the mean queue length.
    pub queue_size_metric: String,
}

impl Default for MulticlusterMetrics {
    fn default() -> Self {
        Self {
            kv_cache_utilization_metric: "llm_d_epp_average_kv_cache_utilization".to_owned(),
            queue_size_metric: "llm_d_epp_average_queue_size".to_owned(),
        }
    }
}

impl PluginType for MulticlusterMetrics {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::setting(Setting::Extractor(Extractor::MulticlusterMetrics(self)))
    }
}

/// `topology-extractor`: where an endpoint stands, by the labels of its pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Topology {
    /// Label of the host.
    pub hostname: String,
    /// Label of the rack.
    pub rack: String,
    /// Label of the zone.
    pub zone: String,
    /// Label of the region.
    pub region: String,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            hostname: "kubernetes.io/hostname".to_owned(),
            rack: "topology.kubernetes.io/rack".to_owned(),
            zone: "topology.kubernetes.io/zone".to_owned(),
            region: "topology.kubernetes.io/region".to_owned(),
        }
    }
}

impl PluginType for Topology {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::setting(Setting::Extractor(Extractor::Topology(self))).providing(Data::Topology)
    }
}
