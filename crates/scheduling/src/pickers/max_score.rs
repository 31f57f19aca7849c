//! `max-score-picker`: the highest sums first, ties in random order.

use rand::Rng;

use super::{HowMany, scatter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Picker;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};

pub(super) const KIND: Kind = Kind::new::<MaxScore>("max-score-picker", Roles::PICKER);

impl PluginType for MaxScore {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::picker(Self(self.0.or_one()))
    }
}

/// Takes the highest weighted sums, best first; equal sums in uniformly random order.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MaxScore(HowMany);

impl Picker for MaxScore {
    fn named(&self) -> usize {
        self.0.named()
    }

    fn pick(&self, totals: &[f32], rng: &mut dyn Rng, order: &mut Vec<u32>) {
        let salt = rng.next_u64();
        let keys = totals
            .iter()
            .enumerate()
            .map(|(place, &total)| (total, scatter(salt, place)));
        self.0.greatest(keys, order);
    }
}
