//! Policies that follow prefixes and fall back when load is uneven.

use rand::rngs::SmallRng;

use super::{Ask, Policy, Seen, least};
use crate::text::mix;

/// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam) over the first 1,024
/// tokens: the first server on the ring with at most 1.25 times the mean load.
#[derive(Default)]
pub(super) struct BoundedHash {
    ring: Vec<(u64, usize)>,
    servers: Vec<usize>,
}

impl BoundedHash {
    const PREFIX_TOKENS: u32 = 1024;
    const PLACES: u64 = 100;
    const LOAD_FACTOR: f64 = 1.25;

    fn rebuild(&mut self, seen: &[Seen]) {
        let same = self.servers.len() == seen.len()
            && self
                .servers
                .iter()
                .zip(seen)
                .all(|(node, seen)| *node == seen.node);
        if same {
            return;
        }
        self.servers = seen.iter().map(|seen| seen.node).collect();
        let places = |seen: &Seen| {
            let node = seen.node;
            (0..Self::PLACES).map(move |place| (mix((node as u64) << 32 | place), node))
        };
        self.ring = seen.iter().flat_map(places).collect();
        self.ring.sort_unstable();
    }
}

impl Policy for BoundedHash {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], _: &mut SmallRng) -> usize {
        self.rebuild(seen);
        let depth = (Self::PREFIX_TOKENS / ask.block_tokens).max(1) as usize;
        // Hashes are chained: the deepest one stands for the whole prefix.
        let key = ask.blocks.get(..depth).unwrap_or(ask.blocks).last();
        let key = mix(key.copied().unwrap_or(u64::from(ask.number)));
        let requests: u64 = seen.iter().map(|seen| seen.requests).sum();
        let mean = (requests + 1) as f64 / seen.len() as f64;
        let bound = (mean * Self::LOAD_FACTOR).ceil() as u64;
        let start = self.ring.partition_point(|(at, _)| *at < key);
        let around = self.ring[start..].iter().chain(&self.ring[..start]);
        let places = around.filter_map(|(_, node)| seen.iter().position(|seen| seen.node == *node));
        let mut places = places;
        places
            .find(|&place| seen[place].requests < bound)
            .unwrap_or(0)
    }
}

/// SGLang's router and its successor SMG. Uneven load (more than 32 requests and 1.1 times apart):
/// the fewest requests. Else by history: the longest match if it covers half of the prompt, else
/// the smallest tree. By events: the longest match, then fewer requests, then the smaller tree.
pub(super) struct CacheAware {
    pub(super) by_events: bool,
}

impl Policy for CacheAware {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        let requests = || seen.iter().map(|seen| seen.requests);
        let (fewest, most) = (requests().min().unwrap_or(0), requests().max().unwrap_or(0));
        if most - fewest > 32 && most as f64 > 1.1 * fewest as f64 {
            return least(seen, rng, |seen| seen.requests);
        }
        let longest = seen
            .iter()
            .map(|seen| seen.matched_blocks)
            .max()
            .unwrap_or(0);
        if self.by_events {
            if longest == 0 {
                return least(seen, rng, |seen| seen.requests);
            }
            return least(seen, rng, |seen| {
                (
                    longest - seen.matched_blocks,
                    seen.requests,
                    seen.held_blocks,
                )
            });
        }
        if f64::from(longest) > 0.5 * ask.blocks.len() as f64 {
            least(seen, rng, |seen| longest - seen.matched_blocks)
        } else {
            least(seen, rng, |seen| seen.held_blocks)
        }
    }
}

/// AIBrix prefix-cache: with loads more than 8 requests apart only the least loaded count; of those
/// that match, the longest match that is not one standard deviation above the mean load.
pub(super) struct AiBrix;

impl Policy for AiBrix {
    fn pick(&mut self, _: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        let requests = || seen.iter().map(|seen| seen.requests as f64);
        let fewest = requests().fold(f64::INFINITY, f64::min);
        let uneven = requests().fold(0.0, f64::max) - fewest > 8.0;
        let count = seen.len() as f64;
        let mean = requests().sum::<f64>() / count;
        let variance = requests().map(|load| (load - mean).powi(2)).sum::<f64>() / count;
        let bound = mean + variance.sqrt();
        let eligible = |seen: &Seen| {
            let load = seen.requests as f64;
            seen.matched_blocks > 0 && load <= bound && (!uneven || load <= fewest)
        };
        if seen.iter().any(eligible) {
            return least(seen, rng, |seen| {
                let rank = u32::MAX - seen.matched_blocks;
                (!eligible(seen), rank, seen.requests)
            });
        }
        least(seen, rng, |seen| seen.requests)
    }
}
