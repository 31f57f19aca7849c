//! What no router can beat.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use simulator::PerfRow;
use simulator::perf::StepWork;

use super::score::{Figures, Quantile};
use super::workload::{Job, Workload, nanos};

/// Most tokens of a step, as in [`simulator::EngineConfig`].
const STEP_TOKENS: u32 = 8192;

/// Time to prefill `tokens` after `cached` ones on an idle engine, seconds.
pub(crate) fn prefill_secs(row: &PerfRow, cached: u32, tokens: u32) -> f64 {
    let (mut context, mut left, mut total) = (cached, tokens, 0.0);
    while left > 0 {
        let chunk = left.min(STEP_TOKENS);
        let mut work = StepWork::default();
        work.add_prefill(context, chunk);
        total += row.step_ms(&work);
        context += chunk;
        left -= chunk;
    }
    total / 1e3
}

/// Calls `visit` with each request, in order, and the tokens that a cache without bounds, shared by
/// the whole fleet, would have for it. The last token is always computed.
pub(crate) fn with_infinite_cache(workload: &Workload, mut visit: impl FnMut(&Job, u32)) {
    let mut known: HashSet<u64> = HashSet::new();
    for job in workload.jobs() {
        let blocks = workload.full_blocks(job);
        let found = blocks
            .iter()
            .take_while(|hash| known.contains(hash))
            .count();
        known.extend(blocks);
        let limit = (job.input_tokens - 1) / workload.block_tokens;
        visit(job, (found as u32).min(limit) * workload.block_tokens);
    }
}

/// Bounds on the time to the first token.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bounds {
    /// Every request alone on the fastest server, with a cache without bounds that all share.
    pub idle: Quantile,
    /// One queue for all servers, first come first served, with such a cache and no decoding.
    pub central_queue: Quantile,
}

/// The bounds for requests that come `load` times as fast as in the workload. Requests that wait
/// for another are taken to come as fast as they can, so their times only bound from below.
pub(crate) fn bounds(workload: &Workload, rows: &[&PerfRow], load: f64, net_secs: f64) -> Bounds {
    let Some(fastest) = rows
        .iter()
        .min_by(|a, b| prefill_secs(a, 0, STEP_TOKENS).total_cmp(&prefill_secs(b, 0, STEP_TOKENS)))
    else {
        return Bounds::default();
    };
    let (mut idle, mut queued) = (Figures::default(), Figures::default());
    let mut free: BinaryHeap<Reverse<u64>> = rows.iter().map(|_| Reverse(0)).collect();
    with_infinite_cache(workload, |job, cached| {
        let service = prefill_secs(fastest, cached, job.input_tokens - cached);
        idle.add(service + 2.0 * net_secs);
        if job.after.is_some() {
            return;
        }
        let arrival = nanos(job.at_secs / load);
        let start = free
            .pop()
            .map_or(arrival, |Reverse(free)| free.max(arrival));
        let end = start + nanos(service);
        free.push(Reverse(end));
        queued.add((end - arrival) as f64 / 1e9 + 2.0 * net_secs);
    });
    Bounds {
        idle: idle.quantile(),
        central_queue: queued.quantile(),
    }
}
