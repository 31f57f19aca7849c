//! The one notion of time of the sans-I/O crates.

use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since an arbitrary epoch of this process.
///
/// The rims own the clock that yields it; simulations make it up. [`Time::ZERO`] stands for
/// "never" where a field says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The epoch, and in some fields "never".
    pub const ZERO: Time = Time(0);

    /// A time `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time `secs` seconds after the epoch; negative and non-finite values become the epoch.
    #[must_use]
    pub fn from_secs_f64(secs: f64) -> Self {
        // A float-to-int cast saturates, and maps NaN to zero: exactly the contract above.
        Self((secs * 1e9) as u64)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the epoch.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn saturating_since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at the end of time (584 years).
    fn add(self, by: Duration) -> Time {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let second = Time::from_secs_f64(1.0);
        assert_eq!(second.as_nanos(), 1_000_000_000);
        assert_eq!((second + Duration::from_millis(500)).as_secs_f64(), 1.5);
        assert_eq!(Time::ZERO.saturating_since(second), Duration::ZERO);
        assert_eq!(second.saturating_since(Time::ZERO), Duration::from_secs(1));
        assert_eq!(second + Duration::MAX, Time(u64::MAX));
        assert_eq!(Time::from_secs_f64(-1.0), Time::ZERO);
        assert_eq!(Time::from_secs_f64(f64::NAN), Time::ZERO);
    }
}
