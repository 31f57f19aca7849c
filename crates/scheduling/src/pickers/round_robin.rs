//! `round-robin-picker`: takes turns, whatever the scores say.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::Rng;

use super::HowMany;
use crate::Picker;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};

pub(super) const KIND: Kind = Kind::new::<HowMany>("round-robin-picker", Roles::PICKER).ours();

impl PluginType for HowMany {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::picker(RoundRobin {
            limit: self.or_one(),
            next: AtomicUsize::new(0),
        })
    }
}

/// Starts each ranking one place further along the list of survivors. The baseline of comparisons;
/// upstream has no such picker.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    limit: HowMany,
    next: AtomicUsize,
}

impl Picker for RoundRobin {
    fn named(&self) -> usize {
        self.limit.named()
    }

    fn pick(&self, totals: &[f32], _: &mut dyn Rng, order: &mut Vec<u32>) {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turns = self.limit.limit().min(totals.len());
        order.extend((0..turns).map(|turn| ((first + turn) % totals.len()) as u32));
    }
}
