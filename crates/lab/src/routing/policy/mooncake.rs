//! Mooncake's Algorithm 1 without block transfer: the least predicted time to the first token.

use std::collections::HashMap;

use rand::rngs::SmallRng;
use simulator::Nanos;

use super::super::bounds::prefill_secs;
use super::{Ask, Policy, Progress, Seen, least};

/// Predicted seconds of prefill that a server still has to do for us.
#[derive(Clone, Copy, Default)]
struct Backlog {
    secs: f64,
    /// Of all requests before their first token.
    outstanding: f64,
    at: Nanos,
}

impl Backlog {
    fn left(&self, now: Nanos) -> f64 {
        (self.secs - now.saturating_sub(self.at) as f64 / 1e9).max(0.0)
    }
}

/// Queued prefill, predicted with the true step times and drained at rate one, plus this request's
/// own.
#[derive(Default)]
pub(super) struct MinTtft {
    backlog: Vec<Backlog>,
    predicted: HashMap<u32, f64>,
}

impl MinTtft {
    fn backlog(&mut self, node: usize) -> &mut Backlog {
        if self.backlog.len() <= node {
            self.backlog.resize(node + 1, Backlog::default());
        }
        &mut self.backlog[node]
    }
}

fn own(ask: &Ask<'_>, seen: &Seen) -> f64 {
    let cached = ask.job.input_tokens - seen.uncached_tokens;
    let row = ask.rows.get(seen.node);
    row.map_or(0.0, |row| prefill_secs(row, cached, seen.uncached_tokens))
}

impl Policy for MinTtft {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        least(seen, rng, |seen| {
            self.backlog(seen.node).left(ask.now) + own(ask, seen)
        })
    }

    fn note(&mut self, ask: &Ask<'_>, seen: &Seen, progress: Progress) {
        match progress {
            Progress::Sent => {
                let own = own(ask, seen);
                self.predicted.insert(ask.number, own);
                let backlog = self.backlog(seen.node);
                backlog.secs = backlog.left(ask.now) + own;
                backlog.outstanding += own;
                backlog.at = ask.now;
            }
            Progress::FirstToken | Progress::Ended => {
                // Only the first of the two finds it.
                let Some(own) = self.predicted.remove(&ask.number) else {
                    return;
                };
                let backlog = self.backlog(seen.node);
                backlog.outstanding = (backlog.outstanding - own).max(0.0);
                (backlog.secs, backlog.at) = (backlog.outstanding, ask.now);
            }
        }
    }
}
