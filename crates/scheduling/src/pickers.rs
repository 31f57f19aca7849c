//! Pickers, one a file.

mod max_score;
mod random;
mod round_robin;
mod weighted_random;

pub(crate) use max_score::MaxScore;
pub(crate) use round_robin::RoundRobin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Kind, MAX_FALLBACKS};

pub(crate) const KINDS: &[Kind] = &[
    max_score::KIND,
    random::KIND,
    round_robin::KIND,
    weighted_random::KIND,
];

/// Most endpoints that a picker can be asked for.
const MOST: usize = 64;

/// The parameter all pickers take.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HowMany {
    /// How many endpoints to name to a proxy: the choice and its fallbacks, up to 64. 1 when left
    /// out; below 1 counts as 1. The gateway has its fallbacks in any case.
    max_num_of_endpoints: Option<i64>,
}

impl HowMany {
    /// One, unless a number is given.
    fn or_one(self) -> Self {
        Self {
            max_num_of_endpoints: Some(self.max_num_of_endpoints.unwrap_or(1)),
        }
    }

    /// How many a proxy is told of; all fallbacks when nobody asked.
    fn named(self) -> usize {
        match self.max_num_of_endpoints {
            None => MAX_FALLBACKS,
            Some(number) => usize::try_from(number).unwrap_or(1).clamp(1, MOST),
        }
    }

    fn limit(self) -> usize {
        self.named().max(MAX_FALLBACKS)
    }

    /// Appends to `order` the places with the greatest keys, greatest first, without sorting or
    /// storing the rest.
    fn greatest<K: PartialOrd>(self, keys: impl Iterator<Item = K>, order: &mut Vec<u32>) {
        let limit = self.limit();
        let mut best: SmallVec<[(K, u32); MAX_FALLBACKS]> = SmallVec::new();
        for (place, key) in keys.enumerate() {
            if best.len() == limit && best.last().is_some_and(|worst| key <= worst.0) {
                continue;
            }
            best.truncate(limit - 1);
            let rank = best
                .iter()
                .position(|other| key > other.0)
                .unwrap_or(best.len());
            best.insert(rank, (key, place as u32));
        }
        order.extend(best.iter().map(|(_, place)| *place));
    }
}

/// A number for each place that looks random and costs one multiplication: one draw from the
/// generator orders all ties of a run.
fn scatter(salt: u64, place: usize) -> u64 {
    let mixed = (salt ^ place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

#[cfg(test)]
mod tests;
