//! `queue-scorer`: how few requests wait at an endpoint, against the others.

use super::GaugeParameters;
use crate::registry::parameters;
use crate::{Factory, Field, Plugin, Reads, Scorer};

pub(crate) const FACTORY: Factory = Factory {
    kind: "queue-scorer",
    build: |value| Ok(Plugin::Scorer(Box::new(Queue(parameters(value)?)))),
};

/// `(max − v) / (max − min)` of the waiting gauge over the endpoints that passed the filters; 1 for
/// all when they are equal, one endpoint alone included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue(pub(crate) GaugeParameters);

impl Scorer for Queue {
    fn reads(&self) -> Reads {
        Reads::QUEUE
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        self.0
            .gauges
            .score_relative(field, kept, out, |gauges| gauges.waiting);
    }
}
