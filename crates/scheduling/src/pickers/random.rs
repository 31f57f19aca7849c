//! `random-picker`: any of them.

use rand::Rng;

use super::{HowMany, scatter};
use crate::registry::parameters;
use crate::{Factory, Picker, Plugin};

pub(crate) const FACTORY: Factory = Factory {
    kind: "random-picker",
    build: |value| Ok(Plugin::Picker(Box::new(Random(parameters(value)?)))),
};

/// Takes survivors in uniformly random order, whatever the scores say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Random(HowMany);

impl Picker for Random {
    fn pick(&self, totals: &[f32], rng: &mut dyn Rng, order: &mut Vec<u32>) {
        let salt = rng.next_u64();
        self.0
            .greatest((0..totals.len()).map(|place| scatter(salt, place)), order);
    }
}
