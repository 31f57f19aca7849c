//! `weighted-random-picker`: at random, in proportion to the sums.

use rand::Rng;

use super::{HowMany, scatter};
use crate::draw::unit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Picker;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};

pub(super) const KIND: Kind = Kind::new::<WeightedRandom>("weighted-random-picker", Roles::PICKER);

impl PluginType for WeightedRandom {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::picker(Self(self.0.or_one()))
    }
}

/// Weighted sampling without replacement (Efraimidis and Spirakis, A-Res): each endpoint draws
/// `U^(1/total)` and the greatest come first, so the first is chosen with a probability in
/// proportion to its sum. Sums of 0 and below come last; when there are no others, all are equal.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WeightedRandom(HowMany);

impl Picker for WeightedRandom {
    fn named(&self) -> usize {
        self.0.named()
    }

    fn pick(&self, totals: &[f32], rng: &mut dyn Rng, order: &mut Vec<u32>) {
        let salt = rng.next_u64();
        let keys = totals.iter().enumerate().map(|(place, &total)| {
            // The logarithm of the key has the same order and does not underflow.
            let key = if total > 0.0 {
                unit(rng.next_u64()).ln() / f64::from(total)
            } else {
                f64::NEG_INFINITY
            };
            (key, scatter(salt, place))
        });
        self.0.greatest(keys, order);
    }
}
