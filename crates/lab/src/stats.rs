//! Distributions of durations.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Durations in a high-dynamic-range histogram: microseconds, three significant digits.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
}

impl Default for Distribution {
    #[expect(clippy::expect_used, reason = "fails only for more than five digits")]
    fn default() -> Self {
        Self {
            histogram: Histogram::new(3).expect("three digits are allowed"),
        }
    }
}

impl Distribution {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // The histogram grows by itself, so nothing is lost; a day is beyond every timeout.
        let _ = self.histogram.record(micros.min(86_400_000_000));
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The duration below which a share `q` (0 to 1) of all lie; zero when nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(q))
    }

    /// Mean of all durations.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.histogram.mean() / 1e6)
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.histogram.max())
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Distribution) {
        // Both grow by themselves, so the sum always fits.
        let _ = self.histogram.add(&other.histogram);
    }

    /// The figures people ask for, in milliseconds times `scale`.
    #[must_use]
    pub fn quantiles(&self, scale: f64) -> Quantiles {
        let ms = |duration: Duration| round(duration.as_secs_f64() * 1e3 * scale);
        Quantiles {
            count: self.count(),
            mean_ms: ms(self.mean()),
            p50_ms: ms(self.quantile(0.50)),
            p90_ms: ms(self.quantile(0.90)),
            p99_ms: ms(self.quantile(0.99)),
            max_ms: ms(self.max()),
        }
    }
}

/// To a microsecond: more digits would be noise in the JSON.
fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// A distribution in six figures, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth_and_scaled() {
        let mut all = Distribution::default();
        (1..=10_000).for_each(|ms| all.record(Duration::from_millis(ms)));
        let plain = all.quantiles(1.0);
        let close = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.001;
        assert!(close(plain.p50_ms, 5_000.0), "{plain:?}");
        assert!(close(plain.p99_ms, 9_900.0), "{plain:?}");
        assert!(close(plain.max_ms, 10_000.0), "{plain:?}");
        assert!(close(all.quantiles(20.0).p90_ms, 180_000.0));
        assert_eq!(plain.count, 10_000);
    }

    #[test]
    fn merging_adds() {
        let (mut a, mut b) = (Distribution::default(), Distribution::default());
        a.record(Duration::from_micros(5));
        b.record(Duration::from_secs(3_000));
        b.record(Duration::MAX);
        a.merge(&b);
        assert_eq!(a.count(), 3);
        assert!(a.max() >= Duration::from_secs(86_000));
        assert_eq!(Distribution::default().quantile(0.5), Duration::ZERO);
    }
}
