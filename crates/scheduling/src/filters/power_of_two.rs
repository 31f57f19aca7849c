//! `power-of-two-filter`: two endpoints at random, between which the scorers choose.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads};

pub(super) const KIND: Kind = Kind::new::<PowerOfTwo>("power-of-two-filter", Roles::FILTER).ours();

/// Keeps `choices` of the endpoints, drawn without replacement. With `active-request-scorer` it is
/// the well-known power of two choices: nearly as even as looking at all, and no herd follows a
/// stale minimum. It costs affinity, because the holder of a prompt is rarely drawn.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PowerOfTwo {
    /// How many are kept, 1 or more.
    choices: usize,
}

impl Default for PowerOfTwo {
    fn default() -> Self {
        Self { choices: 2 }
    }
}

impl PluginType for PowerOfTwo {
    fn build(self, build: &mut Build<'_>) -> Instance {
        build.require(self.choices >= 1, "choices", self.choices, ">= 1");
        Instance::filter(self)
    }
}

impl Filter for PowerOfTwo {
    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn retain(&self, _: &Field<'_>, kept: &mut Vec<u32>, rng: &mut dyn Rng) {
        let (mut left, mut wanted) = (kept.len() as u64, self.choices as u64);
        // Each is taken with the chance that keeps the number right; the order stays.
        kept.retain(|_| {
            let taken = wanted > 0 && (left <= wanted || rng.next_u64() % left < wanted);
            left -= 1;
            wanted -= u64::from(taken);
            taken
        });
    }
}
