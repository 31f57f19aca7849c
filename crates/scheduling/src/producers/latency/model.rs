//! What is learned about one server's time per token.

use std::collections::BTreeMap;

/// How much of the past a new request takes away.
const FORGETTING: f32 = 0.99;
/// Uncertainty at the start, in the square of milliseconds.
const UNSURE: f32 = 1e4;

/// Milliseconds per token as a straight line over the number of requests, fitted by recursive
/// least squares with forgetting.
#[derive(Debug)]
pub(super) struct PaceOfTokens {
    /// Milliseconds alone, and more per further request.
    line: [f32; 2],
    spread: [[f32; 2]; 2],
    samples: u64,
}

impl Default for PaceOfTokens {
    fn default() -> Self {
        Self {
            line: [0.0, 0.0],
            spread: [[UNSURE, 0.0], [0.0, UNSURE]],
            samples: 0,
        }
    }
}

impl PaceOfTokens {
    /// What a token is expected to take with so many requests; 0 while nothing is known.
    pub(super) fn predict_ms(&self, requests: u64) -> f32 {
        (self.line[0] + self.line[1] * requests as f32).max(0.0)
    }

    /// A token took `ms` with so many requests.
    pub(super) fn learn(&mut self, requests: u64, ms: f32) {
        if !ms.is_finite() {
            return;
        }
        let x = [1.0, requests as f32];
        let [[a, b], [c, d]] = self.spread;
        let px = [a * x[0] + b * x[1], c * x[0] + d * x[1]];
        let gain_below = FORGETTING + x[0] * px[0] + x[1] * px[1];
        let gain = [px[0] / gain_below, px[1] / gain_below];
        let error = ms - (self.line[0] * x[0] + self.line[1] * x[1]);
        for (line, gain) in self.line.iter_mut().zip(gain) {
            *line += gain * error;
        }
        for (row, gain) in self.spread.iter_mut().zip(gain) {
            for (cell, px) in row.iter_mut().zip(px) {
                // Bounded, so that a server without news does not become infinitely unsure.
                *cell = ((*cell - gain * px) / FORGETTING).clamp(-UNSURE, UNSURE);
            }
        }
        self.samples += 1;
    }
}

/// What the requests that share a server allow per token.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Milliseconds, as bits so that they can be ordered, with the number of requests.
    allowed: BTreeMap<u32, u32>,
}

impl Neighbours {
    /// A request that allows `ms` per token; one that says nothing counts for nothing.
    pub(super) fn add(&mut self, ms: f32) {
        if ms > 0.0 {
            *self.allowed.entry(ms.to_bits()).or_default() += 1;
        }
    }

    /// Such a request has ended.
    pub(super) fn remove(&mut self, ms: f32) {
        let bits = ms.to_bits();
        if let Some(number) = self.allowed.get_mut(&bits) {
            *number -= 1;
            if *number == 0 {
                self.allowed.remove(&bits);
            }
        }
    }

    /// The least that any of them allows.
    pub(super) fn strictest_ms(&self) -> Option<f32> {
        let first = self.allowed.first_key_value();
        first.map(|(bits, _)| f32::from_bits(*bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_followed() {
        let mut pace = PaceOfTokens::default();
        for round in 0..200u64 {
            let requests = 1 + round % 20;
            pace.learn(requests, 10.0 + 0.5 * requests as f32);
        }
        assert!((pace.predict_ms(1) - 10.5).abs() < 0.1, "{pace:?}");
        assert!((pace.predict_ms(40) - 30.0).abs() < 0.5, "{pace:?}");
        for round in 0..600u64 {
            pace.learn(1 + round % 20, 40.0);
        }
        assert!((pace.predict_ms(10) - 40.0).abs() < 0.5, "{pace:?}");
        pace.learn(3, f32::NAN);
        assert!(pace.predict_ms(10).is_finite());
    }

    #[test]
    fn the_strictest_neighbour_counts_while_it_is_there() {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.strictest_ms(), None);
        for ms in [50.0, 20.0, 20.0, 0.0] {
            neighbours.add(ms);
        }
        assert_eq!(neighbours.strictest_ms(), Some(20.0));
        neighbours.remove(20.0);
        neighbours.remove(0.0);
        assert_eq!(neighbours.strictest_ms(), Some(20.0));
        neighbours.remove(20.0);
        assert_eq!(neighbours.strictest_ms(), Some(50.0));
    }
}
