//! What a decision costs: `cargo bench -p scheduling`.
//!
//! The index is as full as that of a busy fleet: every endpoint holds a common system prompt and
//! conversations of its own up to its capacity, and some hold parts of the prompt asked for.

#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use rand::SeedableRng;
use rand::rngs::StdRng;
use scheduling::{Positions, PrefixIndex, Profile, Query, Scratch};
use signals::{Endpoint, EndpointIdentity, Engine, Ledger, Load, Scrape, Time};

const PROMPT_BLOCKS: u64 = 6_000;
const SYSTEM_BLOCKS: u64 = 60;
const BLOCK_TOKENS: u32 = 64;
/// Blocks per turn of the conversations that fill the index.
const TURN_BLOCKS: u64 = 40;
const ENDPOINT_BLOCKS: u32 = 7_000;

fn main() {
    divan::main();
}

fn chain(contents: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut hash = 1u64;
    let link = |content: u64| {
        hash = (hash ^ content).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 31;
        hash
    };
    contents.map(link).collect()
}

/// A conversation after the common system prompt.
fn conversation(session: u64, blocks: u64) -> Vec<u64> {
    chain((0..blocks).map(|block| {
        if block < SYSTEM_BLOCKS {
            block
        } else {
            session << 20 | block
        }
    }))
}

struct Fleet {
    endpoints: Vec<Arc<Endpoint>>,
    index: PrefixIndex,
    positions: Positions,
    prompt: Vec<u64>,
}

fn endpoint(id: u32) -> Arc<Endpoint> {
    let identity = EndpointIdentity {
        name: format!("default/pod-{id}-rank-0").into(),
        address: ([10, 0, (id >> 8) as u8, id as u8], 8000).into(),
        host: "pod".into(),
        https: false,
        labels: Arc::default(),
        rank: 0,
    };
    let endpoint = Arc::new(Endpoint::new(id, identity));
    let scrape = Scrape {
        engine: Engine::Vllm,
        waiting: Some(id % 5),
        running: Some(20 + id % 30),
        kv_usage: Some(0.3 + (id % 50) as f32 / 100.0),
        block_size: Some(16),
        blocks: Some(27_440),
        ..Scrape::default()
    };
    endpoint.signals().apply(&scrape, Time::from_secs_f64(99.9));
    endpoint
}

fn fleet(count: u32, holders: impl Fn(u32) -> u64) -> Fleet {
    let endpoints: Vec<_> = (0..count).map(endpoint).collect();
    let index = PrefixIndex::new(7);
    let prompt = conversation(0, PROMPT_BLOCKS);
    for endpoint in 0..count {
        // Ten conversations that grew in turns.
        let first = u64::from(endpoint) * 1_000 + 1;
        for session in first..first + 10 {
            for turn in 1..=8 {
                let blocks = conversation(session, SYSTEM_BLOCKS + turn * TURN_BLOCKS);
                index.store(endpoint, ENDPOINT_BLOCKS, &blocks);
            }
        }
        index.store(
            endpoint,
            ENDPOINT_BLOCKS,
            &prompt[..holders(endpoint) as usize],
        );
        let load = Load::estimate(u64::from(endpoint % 7) * 900, 0, 100);
        std::mem::forget(Ledger::reserve(
            &endpoints[endpoint as usize],
            load,
            Time(1),
        ));
    }
    let mut positions = Positions::default();
    positions.set(&endpoints);
    Fleet {
        endpoints,
        index,
        positions,
        prompt,
    }
}

/// The prompt is an old conversation: three endpoints saw some of its turns.
fn usual(endpoint: u32) -> u64 {
    match endpoint {
        3 => PROMPT_BLOCKS - 40,
        5 => 3_000,
        7 => 1_111,
        _ => SYSTEM_BLOCKS,
    }
}

/// Every endpoint holds another part of the prompt.
fn staggered(endpoint: u32) -> u64 {
    SYSTEM_BLOCKS + (u64::from(endpoint) * 7_919) % (PROMPT_BLOCKS - SYSTEM_BLOCKS)
}

#[divan::bench(args = [8, 100, 1_000])]
fn schedule(bencher: Bencher<'_, '_>, count: u32) {
    let fleet = fleet(count, usual);
    let profile = Profile::default_profile();
    let query = Query {
        model: "meta-llama/Llama-3.1-8B-Instruct",
        blocks: &fleet.prompt,
        block_tokens: BLOCK_TOKENS,
        prompt_tokens: PROMPT_BLOCKS * u64::from(BLOCK_TOKENS),
        ..Query::default()
    };
    let mut scratch = Scratch::default();
    let mut rng = StdRng::seed_from_u64(1);
    let now = Time::from_secs_f64(100.0);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let decision = profile
            .schedule(
                &query,
                &fleet.endpoints,
                &fleet.index,
                &mut scratch,
                now,
                &mut rng,
            )
            .unwrap();
        assert_eq!(decision.ranked[0].endpoint.id(), 3);
        decision
    });
}

#[divan::bench(args = [8, 100, 1_000])]
fn longest_match_usual(bencher: Bencher<'_, '_>, count: u32) {
    longest_match(bencher, &fleet(count, usual));
}

#[divan::bench(args = [8, 100, 1_000])]
fn longest_match_staggered(bencher: Bencher<'_, '_>, count: u32) {
    longest_match(bencher, &fleet(count, staggered));
}

fn longest_match(bencher: Bencher<'_, '_>, fleet: &Fleet) {
    let mut out = vec![0; fleet.endpoints.len()];
    bencher.bench_local(|| {
        out.fill(0);
        fleet
            .index
            .longest_match(black_box(&fleet.prompt), &fleet.positions, &mut out);
        out[0]
    });
}

/// The next turn of a conversation that the endpoint holds; it is full, so something goes.
#[divan::bench(args = [8, 100, 1_000])]
fn store_next_turn(bencher: Bencher<'_, '_>, count: u32) {
    let fleet = fleet(count, usual);
    let mut session = 1 << 30;
    let mut length = PROMPT_BLOCKS;
    bencher
        .with_inputs(|| {
            length += TURN_BLOCKS;
            if length > PROMPT_BLOCKS {
                length = PROMPT_BLOCKS / 2;
                session += 1;
            }
            conversation(session, length)
        })
        .bench_local_refs(|blocks| fleet.index.store(3, ENDPOINT_BLOCKS, blocks));
}

/// A prompt of 6,000 blocks that nobody has seen.
#[divan::bench(args = [8, 100, 1_000])]
fn store_new(bencher: Bencher<'_, '_>, count: u32) {
    let fleet = fleet(count, usual);
    let mut session = 1 << 40;
    bencher
        .with_inputs(|| {
            session += 1;
            conversation(session, PROMPT_BLOCKS)
        })
        .bench_local_refs(|blocks| fleet.index.store(3, ENDPOINT_BLOCKS, blocks));
}

/// Not a speed: prints what the index of a full fleet takes per (block, endpoint).
#[divan::bench(args = [100], sample_count = 1, sample_size = 1)]
fn memory(count: u32) -> usize {
    let fleet = fleet(count, usual);
    let pairs = fleet.index.len();
    println!(
        "{pairs} pairs, {:.1} bytes each",
        fleet.index.bytes() as f64 / pairs as f64
    );
    pairs
}
