//! Requests to send.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: f64,
    pub(crate) blocks: Arc<[u64]>,
    pub(crate) block_tokens: u32,
    pub(crate) prompt_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// Chains the contents of blocks into hashes that stand for all before them.
fn chain(contents: impl Iterator<Item = u64>) -> Arc<[u64]> {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let link = |content: u64| {
        hash = (hash ^ content).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 31;
        hash
    };
    contents.map(link).collect()
}

fn exponential(rng: &mut StdRng, mean: f64) -> f64 {
    -(1.0 - rng.random::<f64>()).ln() * mean
}

/// Conversations that share `system_prompts` beginnings and grow turn by turn.
pub(crate) struct Chat {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) system_prompts: u64,
    pub(crate) system_tokens: u64,
    pub(crate) turn_tokens: f64,
    pub(crate) output_tokens: f64,
    pub(crate) turns: u32,
    pub(crate) think_secs: f64,
}

const CHAT_BLOCK: u64 = 64;

impl Chat {
    pub(crate) fn generate(&self, seed: u64) -> Vec<Request> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut requests = Vec::new();
        let (mut start, mut session) = (0.0, 1u64 << 40);
        let sessions_per_second = self.per_second / f64::from(self.turns + 1) * 2.0;
        while requests.len() < self.requests * 2 {
            start += exponential(&mut rng, 1.0 / sessions_per_second);
            session += 1 << 20;
            self.conversation(&mut rng, start, session, &mut requests);
        }
        requests.sort_by(|a, b| a.at.total_cmp(&b.at));
        requests.truncate(self.requests);
        requests
    }

    fn conversation(&self, rng: &mut StdRng, start: f64, session: u64, out: &mut Vec<Request>) {
        let system = rng.random_range(0..self.system_prompts);
        let turns = rng.random_range(1..=self.turns);
        let (mut at, mut length) = (start, self.system_tokens);
        for _ in 0..turns {
            length += 1 + exponential(rng, self.turn_tokens) as u64;
            let output = 1 + exponential(rng, self.output_tokens) as u64;
            let count = length.div_ceil(CHAT_BLOCK);
            let shared = self.system_tokens / CHAT_BLOCK;
            let full = length / CHAT_BLOCK;
            let content = |block: u64| match block {
                block if block < shared => system << 32 | block,
                block if block < full => session + block,
                // The last block is not full, so the next turn has another in its place.
                block => session + block + (length << 50),
            };
            out.push(Request {
                at,
                blocks: chain((0..count).map(content)),
                block_tokens: CHAT_BLOCK as u32,
                prompt_tokens: length,
                output_tokens: output,
            });
            length += output;
            at += 2.0 + exponential(rng, self.think_secs);
        }
    }
}

/// Requests of the Mooncake conversation trace (one block = 512 tokens), `speed` times as fast;
/// `None` when it is not beside the project. Its clock ticks every three seconds, so each burst is
/// spread over its tick.
pub(crate) fn mooncake(name: &str, count: usize, speed: f64, seed: u64) -> Option<Vec<Request>> {
    #[derive(serde::Deserialize)]
    struct Row {
        timestamp: f64,
        input_length: u64,
        output_length: u64,
        hash_ids: Vec<u64>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/traces")
        .join(format!("mooncake_fast25_{name}.jsonl.gz"));
    let file = File::open(path).ok()?;
    let mut rng = StdRng::seed_from_u64(seed);
    let tick = if name == "conversation" { 3.0 } else { 0.0 };
    let rows = BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .take(count);
    let mut requests: Vec<Request> = rows
        .map(|line| {
            let row: Row = serde_json::from_str(&line.unwrap()).unwrap();
            Request {
                at: (row.timestamp / 1000.0 + rng.random::<f64>() * tick) / speed,
                blocks: row
                    .hash_ids
                    .iter()
                    .map(|id| (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                    .collect(),
                block_tokens: 512,
                prompt_tokens: row.input_length,
                output_tokens: row.output_length,
            }
        })
        .collect();
    requests.sort_by(|a, b| a.at.total_cmp(&b.at));
    Some(requests)
}
