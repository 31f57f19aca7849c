//! How far the picture of an endpoint's cache is to be trusted, learned from real hits.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Parts of a thousand of the told capacity.
const WHOLE: u32 = 1_000;
const LEAST: u32 = 100;
const MOST: u32 = 2_000;
/// By how many hundredths one wrong guess moves the capacity.
const STEP_PERCENT: u32 = 2;
/// A guess is right when it is off by no more than this share of the prompt, or by one block:
/// token counts are estimates, and engines count blocks of their own size.
const TOLERANCE: f64 = 0.05;
/// Guesses in a row that must find nothing at all before the cache counts as lost.
const LOST_AFTER: u32 = 4;
/// Guesses smaller than this are not held against the endpoint.
const LOST_MIN_BLOCKS: u32 = 2;

/// What was predicted for a request and what its answer reported.
///
/// More predicted than found: the endpoint's cache is smaller than told, or shared with traffic
/// that we do not see, so what we believe it holds shrinks. More found than predicted: the other
/// way round. Nothing found several times in a row: it restarted, and all is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitReport {
    /// Blocks that were expected to be there ([`crate::Choice::matched_blocks`]).
    pub predicted_blocks: u32,
    /// Blocks of the prompt.
    pub total_blocks: u32,
    /// Cached prompt tokens, as reported.
    pub cached_tokens: u64,
    /// Prompt tokens, as reported; with an estimate instead, shares would not compare.
    pub prompt_tokens: u64,
}

impl HitReport {
    fn actual_blocks(&self) -> f64 {
        let share = self.cached_tokens as f64 / self.prompt_tokens.max(1) as f64;
        share.min(1.0) * f64::from(self.total_blocks)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    Noted,
    CacheLost,
}

/// The learned factor of one endpoint.
#[derive(Debug)]
pub(super) struct Trust {
    per_mille: AtomicU32,
    nothing_found: AtomicU32,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            per_mille: AtomicU32::new(WHOLE),
            nothing_found: AtomicU32::new(0),
        }
    }
}

impl Trust {
    /// The capacity to reckon with.
    pub(super) fn scale(&self, capacity: u32) -> u32 {
        let scaled = u64::from(capacity) * u64::from(self.per_mille.load(Relaxed));
        u32::try_from(scaled / u64::from(WHOLE)).unwrap_or(u32::MAX)
    }

    pub(super) fn learn(&self, report: &HitReport) -> Lesson {
        let predicted = f64::from(report.predicted_blocks);
        let off = predicted - report.actual_blocks();
        let right = (f64::from(report.total_blocks) * TOLERANCE).max(1.0);
        let factor = self.per_mille.load(Relaxed);
        let step = (factor * STEP_PERCENT / 100).max(1);
        // A lost update between two requests that end at once only delays the lesson.
        if off > right {
            self.per_mille.store((factor - step).max(LEAST), Relaxed);
        } else if off < -right {
            self.per_mille.store((factor + step).min(MOST), Relaxed);
        }
        if report.cached_tokens > 0 {
            self.nothing_found.store(0, Relaxed);
        } else if report.predicted_blocks >= LOST_MIN_BLOCKS
            && self.nothing_found.fetch_add(1, Relaxed) + 1 >= LOST_AFTER
        {
            return Lesson::CacheLost;
        }
        Lesson::Noted
    }
}
