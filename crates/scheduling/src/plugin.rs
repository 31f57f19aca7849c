//! The plugins of a profile: filters, scorers, pickers.

use std::fmt;
use std::ops::BitOr;

use rand::Rng;

use crate::Field;

/// What a plugin reads; the union over a scheduler tells which signals must be collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads(u16);

impl Reads {
    /// Nothing.
    pub const NOTHING: Reads = Reads(0);
    /// Scraped waiting and running counts.
    pub const QUEUE: Reads = Reads(1);
    /// Scraped KV usage and capacity.
    pub const KV: Reads = Reads(2);
    /// Our own requests in flight.
    pub const LEDGER: Reads = Reads(4);
    /// Matched prompt blocks.
    pub const PREFIX: Reads = Reads(8);
    /// LoRA adapters.
    pub const LORA: Reads = Reads(16);
    /// Connection health, draining, sleeping.
    pub const HEALTH: Reads = Reads(32);
    /// Labels of the pod.
    pub const LABELS: Reads = Reads(64);
    /// Request headers.
    pub const HEADERS: Reads = Reads(128);
    /// Predicted latencies.
    pub const LATENCY: Reads = Reads(256);
    /// Scalars of the data layer beside the usual gauges.
    pub const SCALARS: Reads = Reads(512);
    /// Images, audio and video of the prompt.
    pub const MEDIA: Reads = Reads(1024);
    /// Age of the gauges.
    pub const AGE: Reads = Reads(2048);

    /// Whether all of `other` is in `self`.
    #[must_use]
    pub const fn contains(self, other: Reads) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Reads {
    type Output = Reads;

    fn bitor(self, other: Reads) -> Reads {
        Reads(self.0 | other.0)
    }
}

/// Drops endpoints that must not get the request.
pub trait Filter: fmt::Debug + Send + Sync {
    /// What it reads.
    fn reads(&self) -> Reads;

    /// Removes endpoints from `kept` (indices into [`Field::endpoints`]), keeping the order of the
    /// rest. Adding any is a bug. A filter that fails open leaves `kept` as it was rather than
    /// empty; one that does not may empty it, and the run ends with
    /// [`crate::ScheduleError::FilteredOut`].
    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, rng: &mut dyn Rng);
}

/// Rates endpoints.
pub trait Scorer: fmt::Debug + Send + Sync {
    /// What it reads.
    fn reads(&self) -> Reads;

    /// Writes the score of `kept[i]` to `out[i]`, 1 for the best and 0 for the worst. `out` is as
    /// long as `kept` and comes filled with zeros. Values outside of 0..=1 are clamped, and what
    /// is not a number counts as 0, before the weight is applied.
    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]);
}

/// Orders the survivors by their weighted sums.
pub trait Picker: fmt::Debug + Send + Sync {
    /// Appends to `order` positions in `totals`, best first, each at most once, at most
    /// [`crate::MAX_FALLBACKS`] of them and at least one. `order` comes empty, `totals` does not.
    fn pick(&self, totals: &[f32], rng: &mut dyn Rng, order: &mut Vec<u32>);

    /// How many of them the configuration asks to name to a proxy, 1 or more. The others are
    /// fallbacks for those who can use them.
    fn named(&self) -> usize {
        1
    }
}
