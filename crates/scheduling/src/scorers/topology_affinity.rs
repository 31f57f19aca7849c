//! `topology-affinity-scorer`: how close an endpoint is to the one it will work with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::layer::Topology;
use crate::topology::{Closeness, closeness};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<TopologyAffinity>("topology-affinity-scorer", Roles::SCORER).alpha();

/// By the narrowest place shared with the peer that was chosen before: host 1, rack 0.2, zone
/// 0.05, region 0.02; 0 for nothing shared, and for all without a peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TopologyAffinity {
    /// Name of the extractor that says which labels tell; the usual one when empty.
    topology_producer_name: String,
}

#[derive(Debug)]
struct Near {
    labels: Topology,
}

impl PluginType for TopologyAffinity {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let labels = build.topology(&self.topology_producer_name);
        Instance::scorer(Near { labels })
    }
}

impl Scorer for Near {
    fn reads(&self) -> Reads {
        Reads::LABELS
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let Some(peer) = field.findings.peer() else {
            return;
        };
        for (out, &index) in out.iter_mut().zip(kept) {
            let endpoint = &field.endpoints[index as usize];
            *out = match closeness(peer, endpoint, &self.labels) {
                Closeness::Host => 1.0,
                Closeness::Rack => 0.2,
                Closeness::Zone => 0.05,
                Closeness::Region => 0.02,
                Closeness::Apart => 0.0,
            };
        }
    }
}
