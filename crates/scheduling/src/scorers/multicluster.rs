//! `multicluster-queue-scorer` and `multicluster-kv-cache-utilization-scorer`: the usual two over
//! the aggregate gauges of pools in other clusters.

use crate::attribute::AttributeKey;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer, parameterless};

const QUEUE: &str = "llm-d.ai/multicluster-queue-size";
const KV: &str = "llm-d.ai/multicluster-kv-cache-utilization";

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<Multicluster>("multicluster-queue-scorer", Roles::SCORER)
        .alpha()
        .lenient(),
    Kind::new::<Multicluster>("multicluster-kv-cache-utilization-scorer", Roles::SCORER)
        .alpha()
        .lenient(),
];

parameterless!(Multicluster);

impl PluginType for Multicluster {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if build.kind() == "multicluster-queue-scorer" {
            Instance::scorer(Queue(AttributeKey::unsigned(QUEUE)))
        } else {
            Instance::scorer(Kv(AttributeKey::unsigned(KV)))
        }
    }
}

/// `(max − v) / (max − min)` over the pools that tell; 1 when they are equal, 0 for the others.
#[derive(Debug)]
struct Queue(AttributeKey);

impl Scorer for Queue {
    fn reads(&self) -> Reads {
        Reads::SCALARS
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in kept.iter().filter_map(|&index| self.0.value(field, index)) {
            (least, most) = (least.min(value), most.max(value));
        }
        for (out, &index) in out.iter_mut().zip(kept) {
            if let Some(value) = self.0.value(field, index) {
                *out = if most > least {
                    ((most - value) / (most - least)) as f32
                } else {
                    1.0
                };
            }
        }
    }
}

/// `1 − v` for the pools that tell, 0 for the others.
#[derive(Debug)]
struct Kv(AttributeKey);

impl Scorer for Kv {
    fn reads(&self) -> Reads {
        Reads::SCALARS
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        for (out, &index) in out.iter_mut().zip(kept) {
            if let Some(value) = self.0.value(field, index) {
                *out = (1.0 - value) as f32;
            }
        }
    }
}
