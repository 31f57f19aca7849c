//! Whether an endpoint may be routed to: what dialling it told us, and whether it is leaving.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Time;

/// First pause after a failed connection.
const COOL_DOWN_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const COOL_DOWN_MAX: Duration = Duration::from_secs(30);

/// Connection health with an exponential pause, and the draining flag.
///
/// A failed dial makes the endpoint *suspect* for 1 s; each further failure after that pause
/// doubles it, up to 30 s; one success clears it. Failures that arrive while it is already suspect
/// count once, else fifty requests in flight would push a first hiccup straight to the longest
/// pause.
#[derive(Debug, Default)]
pub struct Health {
    suspect_until: AtomicU64,
    failures: AtomicU32,
    draining: AtomicBool,
}

impl Health {
    /// A connection was refused, reset before the first byte, or timed out.
    pub fn note_connect_failure(&self, now: Time) {
        let until = self.suspect_until.load(Ordering::Relaxed);
        if now.as_nanos() < until {
            return;
        }
        let earlier = self.failures.load(Ordering::Relaxed).min(16);
        let pause = COOL_DOWN_MIN
            .saturating_mul(1 << earlier)
            .min(COOL_DOWN_MAX);
        let next = (now + pause).as_nanos();
        // Only the first of several simultaneous failures counts.
        let won = self
            .suspect_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if won {
            self.failures.store(earlier + 1, Ordering::Relaxed);
        }
    }

    /// The endpoint answered.
    pub fn note_success(&self) {
        // Reads first: in the steady state this must not dirty a shared cache line.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.suspect_until.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the endpoint is in the pause after a failed connection.
    #[must_use]
    pub fn is_suspect(&self, now: Time) -> bool {
        now.as_nanos() < self.suspect_until.load(Ordering::Relaxed)
    }

    /// Whether the endpoint is leaving and should get no new requests.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Sets or clears the draining flag.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Time {
        Time::from_secs_f64(secs)
    }

    #[test]
    fn pauses_double_up_to_the_limit() {
        let health = Health::default();
        let mut now = at(100.0);
        for pause_secs in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            health.note_connect_failure(now);
            let end = now + Duration::from_secs_f64(pause_secs);
            assert!(health.is_suspect(Time(end.as_nanos() - 1)), "{pause_secs}");
            assert!(!health.is_suspect(end), "{pause_secs}");
            now = end;
        }
    }

    #[test]
    fn a_burst_counts_once_and_success_clears() {
        let health = Health::default();
        for _ in 0..50 {
            health.note_connect_failure(at(1.0));
        }
        assert!(health.is_suspect(at(1.9)));
        assert!(!health.is_suspect(at(2.0)));
        health.note_connect_failure(at(2.0));
        health.note_success();
        assert!(!health.is_suspect(at(2.1)));
        health.note_connect_failure(at(3.0));
        assert!(
            !health.is_suspect(at(4.0)),
            "the pause starts over at one second"
        );
    }

    #[test]
    fn draining_is_a_flag() {
        let health = Health::default();
        assert!(!health.is_draining());
        health.set_draining(true);
        assert!(health.is_draining());
    }
}
