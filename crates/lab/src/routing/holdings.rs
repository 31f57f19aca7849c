//! Which server holds which block, as told by the servers' KV events.

use std::collections::HashMap;

use simulator::CacheChange;

/// Bits of a word.
const WORD: usize = 64;

/// Block hash → servers that hold it.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    words: usize,
    servers: usize,
    /// Where a block's words start in `bits`.
    places: HashMap<u64, u32>,
    bits: Vec<u64>,
    vacant: Vec<u32>,
    held: Vec<u64>,
    candidates: Vec<u64>,
}

impl Holdings {
    /// An empty picture of so many servers.
    pub(crate) fn new(servers: usize) -> Self {
        let words = servers.div_ceil(WORD).max(1);
        Self {
            words,
            servers,
            held: vec![0; servers],
            candidates: vec![0; words],
            ..Self::default()
        }
    }

    /// Takes in what happened to a server's cache.
    pub(crate) fn apply(&mut self, server: usize, changes: &[CacheChange]) {
        for change in changes {
            match *change {
                CacheChange::Stored { hash, .. } => self.store(server, hash),
                CacheChange::Removed { hash } => self.remove(server, hash),
                CacheChange::Cleared => self.clear(server),
            }
        }
    }

    fn store(&mut self, server: usize, hash: u64) {
        let place = match self.places.get(&hash) {
            Some(place) => *place,
            None => {
                let place = self.vacant.pop().unwrap_or_else(|| {
                    let place = self.bits.len() as u32;
                    self.bits.resize(self.bits.len() + self.words, 0);
                    place
                });
                self.places.insert(hash, place);
                place
            }
        };
        let word = &mut self.bits[place as usize + server / WORD];
        let bit = 1 << (server % WORD);
        self.held[server] += u64::from(*word & bit == 0);
        *word |= bit;
    }

    fn remove(&mut self, server: usize, hash: u64) {
        let Some(place) = self.places.get(&hash).copied() else {
            return;
        };
        let words = &mut self.bits[place as usize..place as usize + self.words];
        let bit = 1 << (server % WORD);
        self.held[server] -= u64::from(words[server / WORD] & bit != 0);
        words[server / WORD] &= !bit;
        if words.iter().all(|word| *word == 0) {
            self.places.remove(&hash);
            self.vacant.push(place);
        }
    }

    /// Forgets everything about a server.
    pub(crate) fn clear(&mut self, server: usize) {
        let of_server =
            |place: &u32| self.bits[*place as usize + server / WORD] >> (server % WORD) & 1;
        let all = self
            .places
            .iter()
            .filter(|(_, place)| of_server(place) == 1);
        let hashes: Vec<u64> = all.map(|(hash, _)| *hash).collect();
        for hash in hashes {
            self.remove(server, hash);
        }
    }

    /// Blocks that a server holds.
    pub(crate) fn held(&self, server: usize) -> u64 {
        self.held.get(server).copied().unwrap_or(0)
    }

    /// For each server, how many leading `blocks` it holds.
    pub(crate) fn longest_match(&mut self, blocks: &[u64], out: &mut Vec<u32>) {
        out.clear();
        out.resize(self.servers, 0);
        self.candidates.fill(u64::MAX);
        for (depth, hash) in blocks.iter().enumerate() {
            let place = self.places.get(hash).map(|place| *place as usize);
            let mut any = 0;
            for (at, candidates) in self.candidates.iter_mut().enumerate() {
                let holders = place.map_or(0, |place| self.bits[place + at]);
                let mut lost = *candidates & !holders;
                *candidates &= holders;
                any |= *candidates;
                while lost != 0 {
                    let server = at * WORD + lost.trailing_zeros() as usize;
                    if let Some(out) = out.get_mut(server) {
                        *out = depth as u32;
                    }
                    lost &= lost - 1;
                }
            }
            if any == 0 {
                return;
            }
        }
        for (server, out) in out.iter_mut().enumerate() {
            if self.candidates[server / WORD] >> (server % WORD) & 1 == 1 {
                *out = blocks.len() as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simulator::{Engine, EngineConfig, PerfRow, Submission};

    use super::*;

    /// Servers that evict all the time, followed by their events.
    fn engine() -> Engine {
        let row = PerfRow::named("h100_sxm/llama-3.1-8b/tp1/bfloat16").expect("shipped");
        let mut config = EngineConfig::new(row.clone(), 16);
        (config.kv_blocks, config.cache_changes) = (40, true);
        Engine::new(config)
    }

    proptest! {
        #[test]
        fn events_make_the_true_picture(
            prompts in proptest::collection::vec((0usize..70, 0u64..5, 1u64..30), 1..60),
        ) {
            let mut engines: Vec<Engine> = (0..70).map(|_| engine()).collect();
            let mut holdings = Holdings::new(engines.len());
            let chain = |stream: u64, count: u64| -> Vec<u64> {
                (0..count).map(|at| stream << 32 | at).collect()
            };
            for (server, stream, count) in prompts {
                let engine = &mut engines[server];
                let submission = Submission {
                    prompt_tokens: count as u32 * 16,
                    output_tokens: 1,
                    blocks: chain(stream, count),
                    ..Submission::default()
                };
                engine.submit(0, submission).expect("taken");
                while let Some(due) = engine.next_event() {
                    engine.advance(due, &mut Vec::new());
                }
                let mut changes = Vec::new();
                engine.take_cache_changes(&mut changes);
                holdings.apply(server, &changes);
            }
            let mut out = Vec::new();
            for stream in 0..5 {
                let blocks = chain(stream, 30);
                holdings.longest_match(&blocks, &mut out);
                for (engine, matched) in engines.iter().zip(&out) {
                    prop_assert_eq!(engine.cached_prefix(&blocks), *matched as usize);
                }
            }
            for (server, engine) in engines.iter().enumerate() {
                prop_assert_eq!(engine.cached_blocks() as u64, holdings.held(server));
                holdings.clear(server);
            }
            prop_assert!(holdings.places.is_empty());
        }
    }
}
