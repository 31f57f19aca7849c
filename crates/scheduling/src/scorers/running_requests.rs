//! `running-requests-size-scorer`: how few requests run on an endpoint, against the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GaugeParameters;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<RunningRequests>("running-requests-size-scorer", Roles::SCORER).lenient();

impl PluginType for RunningRequests {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::scorer(self).needing(Data::CoreMetrics, "")
    }
}

/// `(max − v) / (max − min)` of the running gauge over the endpoints that passed the filters; 1 for
/// all when they are equal, one endpoint alone included.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunningRequests(pub(crate) GaugeParameters);

impl Scorer for RunningRequests {
    fn reads(&self) -> Reads {
        Reads::QUEUE
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        self.0
            .gauges
            .score_relative(field, kept, out, |gauges| gauges.running);
    }
}
