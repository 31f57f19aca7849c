//! Preble's E2 (exploit and explore), without its local scheduler.

use std::collections::{HashMap, VecDeque};

use rand::rngs::SmallRng;
use simulator::{Nanos, PerfRow};

use super::super::bounds::prefill_secs;
use super::{Ask, Policy, Progress, Seen, least};

/// Load history that counts.
const WINDOW: Nanos = 180_000_000_000;
/// Loads further apart than this are evened out.
const REBALANCE_RATIO: f64 = 1.5;
/// Memory of the mean answer.
const OUTPUT_MEMORY: f64 = 0.01;

/// Cost of the requests sent in the window, seconds.
#[derive(Default)]
struct History {
    sent: VecDeque<(Nanos, f64)>,
    sum: f64,
}

impl History {
    fn load(&mut self, now: Nanos) -> f64 {
        while let Some((at, cost)) = self.sent.front().copied() {
            if at + WINDOW > now {
                break;
            }
            self.sent.pop_front();
            self.sum -= cost;
        }
        self.sum.max(0.0)
    }
}

/// Where more of the prompt is cached than not, the least loaded of those that hold most of it,
/// unless it carries the most load and half as much again as the least; else the least of recent
/// load and this request's prefill. What it would evict is not counted.
#[derive(Default)]
pub(super) struct Preble {
    history: HashMap<usize, History>,
    output: f64,
}

impl Preble {
    fn load(&mut self, node: usize, now: Nanos) -> f64 {
        self.history.entry(node).or_default().load(now)
    }
}

/// Seconds of engine time that one request's decoding takes from its batch.
fn decode_secs(row: &PerfRow, context: f64, tokens: f64) -> f64 {
    let decode = &row.attn_decode_ms;
    let per_token = decode.per_seq + decode.per_ctx_token * context + row.linear_fit.b_ms_per_tok;
    per_token * tokens / 1e3
}

fn own_prefill(ask: &Ask<'_>, seen: &Seen) -> f64 {
    let cached = ask.job.input_tokens - seen.uncached_tokens;
    let row = ask.rows.get(seen.node);
    row.map_or(0.0, |row| prefill_secs(row, cached, seen.uncached_tokens))
}

impl Policy for Preble {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        for seen in seen {
            self.load(seen.node, ask.now);
        }
        let history = &self.history;
        let load = |seen: &Seen| history.get(&seen.node).map_or(0.0, |history| history.sum);
        let least_load = seen.iter().map(load).fold(f64::INFINITY, f64::min);
        let most_load = seen.iter().map(load).fold(0.0, f64::max);
        let longest = seen
            .iter()
            .map(|seen| seen.matched_blocks)
            .max()
            .unwrap_or(0);
        if 2 * longest * ask.block_tokens > ask.job.input_tokens {
            let place = least(seen, rng, |seen| {
                (longest - seen.matched_blocks, load(seen))
            });
            let chosen = load(&seen[place]);
            let overloaded = chosen >= most_load && chosen > REBALANCE_RATIO * least_load;
            if !overloaded {
                return place;
            }
        }
        least(seen, rng, |seen| load(seen) + own_prefill(ask, seen))
    }

    fn note(&mut self, ask: &Ask<'_>, seen: &Seen, progress: Progress) {
        match progress {
            Progress::Sent => {
                let Some(row) = ask.rows.get(seen.node) else {
                    return;
                };
                let context = f64::from(ask.job.input_tokens);
                let cost = own_prefill(ask, seen) + decode_secs(row, context, self.output);
                let history = self.history.entry(seen.node).or_default();
                history.sent.push_back((ask.now, cost));
                history.sum += cost;
            }
            Progress::FirstToken => {}
            Progress::Ended => {
                let tokens = f64::from(ask.job.output_tokens);
                self.output += OUTPUT_MEMORY * (tokens - self.output);
            }
        }
    }
}
