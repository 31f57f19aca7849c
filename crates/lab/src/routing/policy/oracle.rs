//! A router that sees into the servers and thinks of nobody else.

use rand::rngs::SmallRng;

use super::super::bounds::prefill_secs;
use super::{Ask, Policy, Seen, least};

/// The least true time to this request's first token: what is left of the step, of the prefills
/// that run and of those that wait, and its own with the true cache. Not an upper bound: it buys
/// its own latency with everyone's capacity.
pub(super) struct Greedy;

impl Policy for Greedy {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        least(seen, rng, |seen| {
            let (Some(node), Some(row)) = (ask.truth.get(seen.node), ask.rows.get(seen.node))
            else {
                return f64::INFINITY;
            };
            let engine = node.engine();
            let limit = (ask.job.input_tokens - 1) / ask.block_tokens;
            let found = engine.cached_prefix(ask.blocks) as u32;
            let cached = found.min(limit) * ask.block_tokens;
            let step_left = engine
                .step_end(ask.now)
                .map_or(0, |end| end.saturating_sub(ask.now));
            let ahead: f64 = engine
                .prefill_backlog()
                .map(|(computed, left)| prefill_secs(row, computed, left))
                .sum();
            let own = prefill_secs(row, cached, ask.job.input_tokens - cached);
            step_left as f64 / 1e9 + ahead + own
        })
    }
}
