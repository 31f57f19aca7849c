//! How scraping goes, in counters.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a scrape brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ScrapeFailure {
    /// No connection, or no TLS on it.
    Connect = 0,
    /// No complete answer in time.
    Timeout = 1,
    /// A status other than 200.
    Status = 2,
    /// The connection broke during the answer.
    Broken = 3,
    /// The page is larger than the limit.
    TooLarge = 4,
    /// A page without metrics of any model server we know.
    NotMetrics = 5,
}

impl ScrapeFailure {
    /// Every cause.
    pub const ALL: [ScrapeFailure; 6] = [
        ScrapeFailure::Connect,
        ScrapeFailure::Timeout,
        ScrapeFailure::Status,
        ScrapeFailure::Broken,
        ScrapeFailure::TooLarge,
        ScrapeFailure::NotMetrics,
    ];

    /// The cause as a label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ScrapeFailure::Connect => "connect",
            ScrapeFailure::Timeout => "timeout",
            ScrapeFailure::Status => "status",
            ScrapeFailure::Broken => "broken",
            ScrapeFailure::TooLarge => "too_large",
            ScrapeFailure::NotMetrics => "not_metrics",
        }
    }
}

impl fmt::Display for ScrapeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counters over all endpoints of a scraper. They only grow.
#[derive(Debug, Default)]
pub struct ScrapeStats {
    ok: AtomicU64,
    bytes: AtomicU64,
    failed: [AtomicU64; ScrapeFailure::ALL.len()],
    following: AtomicU64,
}

impl ScrapeStats {
    /// Pages read.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.ok.load(Relaxed)
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Scrapes that failed for `cause`.
    #[must_use]
    pub fn failed(&self, cause: ScrapeFailure) -> u64 {
        self.failed[cause as usize].load(Relaxed)
    }

    /// Endpoints followed now: a gauge.
    #[must_use]
    pub fn following(&self) -> u64 {
        self.following.load(Relaxed)
    }

    pub(crate) fn note_ok(&self, bytes: usize) {
        self.ok.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn note_failed(&self, cause: ScrapeFailure) {
        self.failed[cause as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn set_following(&self, count: usize) {
        self.following.store(count as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_count_apart() {
        let stats = ScrapeStats::default();
        for (index, cause) in ScrapeFailure::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| stats.note_failed(cause));
        }
        for (index, cause) in ScrapeFailure::ALL.into_iter().enumerate() {
            assert_eq!(stats.failed(cause), index as u64 + 1, "{cause}");
        }
    }
}
