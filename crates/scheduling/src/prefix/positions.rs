//! Where each endpoint of a list stands in it.

use std::sync::Arc;

use signals::Endpoint;

const EMPTY: u32 = u32::MAX;

/// Endpoint id → index in a list of endpoints, kept between runs over the same list.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    ids: Vec<u32>,
    /// Open addressing with linear probing, at most half full: (id, index), `EMPTY` index = free.
    table: Vec<(u32, u32)>,
}

impl Positions {
    /// Makes this the positions of `endpoints`. Costs one comparison per endpoint when they are
    /// the same as before.
    pub fn set(&mut self, endpoints: &[Arc<Endpoint>]) {
        let same = self.ids.len() == endpoints.len()
            && self
                .ids
                .iter()
                .zip(endpoints)
                .all(|(id, endpoint)| *id == endpoint.id());
        if same {
            return;
        }
        self.ids.clear();
        self.ids
            .extend(endpoints.iter().map(|endpoint| endpoint.id()));
        self.rebuild();
    }

    fn rebuild(&mut self) {
        let size = (self.ids.len() * 2).next_power_of_two();
        self.table.clear();
        self.table.resize(size, (0, EMPTY));
        for (index, &id) in self.ids.iter().enumerate() {
            let mut slot = slot_of(id, size);
            while self.table[slot].1 != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = (id, index as u32);
        }
    }

    /// The index of an endpoint, if it is in the list.
    #[inline]
    pub(super) fn of(&self, endpoint: u32) -> Option<usize> {
        let size = self.table.len();
        if size == 0 {
            return None;
        }
        let mut slot = slot_of(endpoint, size);
        loop {
            match self.table[slot] {
                (_, EMPTY) => return None,
                (id, index) if id == endpoint => return Some(index as usize),
                _ => slot = (slot + 1) & (size - 1),
            }
        }
    }
}

#[inline]
fn slot_of(id: u32, size: usize) -> usize {
    // Ids count up, so any odd multiplier spreads them.
    (id.wrapping_mul(0x9e37_79b1) >> 7) as usize & (size - 1)
}
