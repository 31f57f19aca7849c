//! `random-picker`: any of them.

use rand::Rng;

use super::{HowMany, scatter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Picker;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};

pub(super) const KIND: Kind = Kind::new::<Random>("random-picker", Roles::PICKER);

impl PluginType for Random {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::picker(Self(self.0.or_one()))
    }
}

/// Takes survivors in uniformly random order, whatever the scores say.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Random(HowMany);

impl Picker for Random {
    fn named(&self) -> usize {
        self.0.named()
    }

    fn pick(&self, totals: &[f32], rng: &mut dyn Rng, order: &mut Vec<u32>) {
        let salt = rng.next_u64();
        self.0
            .greatest((0..totals.len()).map(|place| scatter(salt, place)), order);
    }
}
