//! `round-robin-picker`: takes turns, whatever the scores say.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::Rng;

use super::HowMany;
use crate::registry::parameters;
use crate::{Factory, Picker, Plugin};

pub(crate) const FACTORY: Factory = Factory {
    kind: "round-robin-picker",
    build: |value| {
        let limit = parameters(value)?;
        Ok(Plugin::Picker(Box::new(RoundRobin {
            limit,
            next: AtomicUsize::new(0),
        })))
    },
};

/// Starts each ranking one place further along the list of survivors. The baseline of comparisons;
/// upstream has no such picker.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    limit: HowMany,
    next: AtomicUsize,
}

impl Picker for RoundRobin {
    fn pick(&self, totals: &[f32], _: &mut dyn Rng, order: &mut Vec<u32>) {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turns = self.limit.limit().min(totals.len());
        order.extend((0..turns).map(|turn| ((first + turn) % totals.len()) as u32));
    }
}
