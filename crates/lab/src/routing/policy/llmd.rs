//! Cost functions of llm-d-router v0.10 and of LMetric (OSDI'26).

use rand::rngs::SmallRng;

use super::super::fleet::peak_tokens_per_sec;
use super::{Ask, Policy, Seen, least};

/// Prefix 3, KV 2, queue 2, over KV events: the weights of llm-d's published benchmark.
pub(super) struct Precise;

impl Policy for Precise {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        let waiting = || seen.iter().map(|seen| seen.waiting);
        let (least_waiting, most) = (waiting().min().unwrap_or(0), waiting().max().unwrap_or(0));
        let range = f64::from(most - least_waiting);
        least(seen, rng, |seen| {
            let queue = if range > 0.0 {
                f64::from(most - seen.waiting) / range
            } else {
                1.0
            };
            -(3.0 * ask.match_share(seen) + 2.0 * (1.0 - seen.kv_usage) + 2.0 * queue)
        })
    }
}

fn token_load(seen: &Seen) -> u64 {
    seen.prefill_tokens + u64::from(seen.uncached_tokens)
}

/// The fewest uncached tokens in flight, those of this request included.
pub(super) struct TokenLoad;

impl Policy for TokenLoad {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        least(seen, rng, token_load)
    }
}

/// The guide's default since August 2026: stay among endpoints that hold four fifths of the
/// prompt, until the least loaded of them is 18 s of prefill behind the least loaded of the others.
pub(super) struct Sticky;

impl Sticky {
    const AFFINITY: f64 = 0.8;
    const GATE_SECS: f64 = 18.0;
}

impl Policy for Sticky {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        let warm = |seen: &Seen| ask.match_share(seen) >= Self::AFFINITY;
        let load = |wanted: bool| {
            let of = seen.iter().filter(|seen| warm(seen) == wanted);
            of.map(|seen| seen.prefill_tokens).min()
        };
        let stays = match (load(true), load(false)) {
            (Some(warm), Some(cold)) => {
                let peak = ask.rows.first().map_or(1.0, peak_tokens_per_sec);
                warm.saturating_sub(cold) as f64 / peak <= Self::GATE_SECS
            }
            (Some(_), None) => true,
            (None, _) => false,
        };
        least(seen, rng, |seen| (stays && !warm(seen), token_load(seen)))
    }
}

/// Queued prefill tokens, those of this request included, times requests in flight and this one.
pub(super) struct LMetric;

impl Policy for LMetric {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        least(seen, rng, |seen| token_load(seen) * (seen.requests + 1))
    }
}
