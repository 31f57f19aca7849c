//! Random draws without a lock and without a clock: `SplitMix64` over an atomic counter.
//!
//! Routing needs cheap, well-spread draws (weights, ties), not secrets. A seed makes a run repeatable.

use std::sync::atomic::{AtomicU64, Ordering};

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of draws shared by all requests.
#[derive(Debug)]
pub struct Entropy {
    state: AtomicU64,
}

impl Entropy {
    /// A stream that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// The next draw, uniform over all of `u64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    pub fn draw(&self) -> u64 {
        let mut z = self
            .state
            .fetch_add(GOLDEN_GAMMA, Ordering::Relaxed)
            .wrapping_add(GOLDEN_GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A 128-bit draw, for request and trace ids.
    pub fn draw_wide(&self) -> u128 {
        (u128::from(self.draw()) << 64) | u128::from(self.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_draws_and_no_early_repeats() {
        let (a, b) = (Entropy::new(7), Entropy::new(7));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let draw = a.draw();
            assert_eq!(draw, b.draw());
            assert!(seen.insert(draw));
        }
    }

    #[test]
    fn draws_are_spread_evenly_over_a_small_range() {
        let entropy = Entropy::new(1);
        let mut counts = [0u32; 8];
        for _ in 0..80_000 {
            counts[(entropy.draw() % 8) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
    }
}
