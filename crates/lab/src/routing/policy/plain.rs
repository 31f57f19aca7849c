//! Policies that know nothing of prompts.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Ask, Policy, Seen, least};

/// Any endpoint.
pub(super) struct Random;

impl Policy for Random {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        rng.random_range(0..seen.len())
    }
}

/// One after the other.
#[derive(Default)]
pub(super) struct RoundRobin {
    next: usize,
}

impl Policy for RoundRobin {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], _: &mut SmallRng) -> usize {
        let place = self.next % seen.len();
        self.next = place + 1;
        place
    }
}

/// The fewest of our requests in flight.
pub(super) struct LeastRequest;

impl Policy for LeastRequest {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        least(seen, rng, |seen| seen.requests)
    }
}

/// The better of two random ones, by requests in flight.
pub(super) struct PowerOfTwo;

impl Policy for PowerOfTwo {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        let first = rng.random_range(0..seen.len());
        if seen.len() == 1 {
            return first;
        }
        let shift = rng.random_range(1..seen.len());
        let second = (first + shift) % seen.len();
        if seen[second].requests < seen[first].requests {
            second
        } else {
            first
        }
    }
}
