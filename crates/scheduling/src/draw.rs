//! Random draws.

use rand::Rng;

/// A number in (0, 1) of 53 random bits.
pub(crate) fn unit(draw: u64) -> f64 {
    ((draw >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// True in that share of calls. Draws nothing when the answer is certain.
pub(crate) fn happens(share: f64, rng: &mut dyn Rng) -> bool {
    share >= 1.0 || share > 0.0 && unit(rng.next_u64()) < share
}
