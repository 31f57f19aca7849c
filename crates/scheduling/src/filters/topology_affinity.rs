//! `topology-affinity-filter`: endpoints that are close to the one they will work with.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::layer::Topology;
use crate::topology::{Closeness, closeness, is_known};
use crate::{Field, Filter, Reads};

pub(super) const KIND: Kind =
    Kind::new::<TopologyAffinity>("topology-affinity-filter", Roles::FILTER).alpha();

/// Keeps endpoints that are close enough to the peer that was chosen before; all of them when none
/// is, when there is no peer, or when nobody knows where the peer stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TopologyAffinity {
    /// How close: host, rack, zone or region.
    min_affinity: Closeness,
    /// Name of the extractor that says which labels tell; the usual one when empty.
    topology_producer_name: String,
}

#[derive(Debug)]
struct Near {
    least: Closeness,
    labels: Topology,
}

impl PluginType for TopologyAffinity {
    fn build(self, build: &mut Build<'_>) -> Instance {
        Instance::filter(Near {
            least: self.min_affinity,
            labels: build.topology(&self.topology_producer_name),
        })
    }
}

impl Filter for Near {
    fn reads(&self) -> Reads {
        Reads::LABELS
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let peer = field.findings.peer();
        let Some(peer) = peer.filter(|peer| is_known(peer, &self.labels)) else {
            return;
        };
        let near = |&index: &u32| {
            let endpoint = &field.endpoints[index as usize];
            closeness(peer, endpoint, &self.labels) >= self.least
        };
        if kept.iter().any(near) {
            kept.retain(near);
        }
    }
}
