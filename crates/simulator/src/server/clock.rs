//! Simulated time: the wall clock, multiplied.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::Nanos;

/// Maps real instants to simulated nanoseconds. The epoch is the moment it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
    scale: f64,
}

impl Clock {
    pub(super) fn new(scale: f64) -> Self {
        Self {
            origin: Instant::now(),
            scale,
        }
    }

    pub(super) fn now(&self) -> Nanos {
        (self.origin.elapsed().as_nanos() as f64 * self.scale) as Nanos
    }

    /// The real instant at which simulated time reaches `at`.
    pub(super) fn deadline(&self, at: Nanos) -> Instant {
        self.origin + self.real(at)
    }

    /// How long `span` of simulated time takes.
    pub(super) fn real(&self, span: Nanos) -> Duration {
        Duration::from_nanos((span as f64 / self.scale).ceil() as u64)
    }
}
