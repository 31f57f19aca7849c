//! `max-score-picker`: the highest sums first, ties in random order.

use rand::Rng;

use super::{HowMany, scatter};
use crate::registry::parameters;
use crate::{Factory, Picker, Plugin};

pub(crate) const FACTORY: Factory = Factory {
    kind: "max-score-picker",
    build: |value| Ok(Plugin::Picker(Box::new(MaxScore(parameters(value)?)))),
};

/// Takes the highest weighted sums, best first; equal sums in uniformly random order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MaxScore(HowMany);

impl Picker for MaxScore {
    fn pick(&self, totals: &[f32], rng: &mut dyn Rng, order: &mut Vec<u32>) {
        let salt = rng.next_u64();
        let keys = totals
            .iter()
            .enumerate()
            .map(|(place, &total)| (total, scatter(salt, place)));
        self.0.greatest(keys, order);
    }
}
