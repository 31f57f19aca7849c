//! `weighted-random-picker`: at random, in proportion to the sums.

use rand::Rng;

use super::{HowMany, scatter};
use crate::registry::parameters;
use crate::{Factory, Picker, Plugin};

pub(crate) const FACTORY: Factory = Factory {
    kind: "weighted-random-picker",
    build: |value| Ok(Plugin::Picker(Box::new(WeightedRandom(parameters(value)?)))),
};

/// Weighted sampling without replacement (Efraimidis and Spirakis, A-Res): each endpoint draws
/// `U^(1/total)` and the greatest come first, so the first is chosen with a probability in
/// proportion to its sum. Sums of 0 and below come last; when there are no others, all are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WeightedRandom(HowMany);

impl Picker for WeightedRandom {
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

/// A number in (0, 1) of 53 random bits.
fn unit(draw: u64) -> f64 {
    ((draw >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}
