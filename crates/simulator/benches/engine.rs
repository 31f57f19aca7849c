//! What the engine costs in virtual time: the lab's budget.

use divan::{Bencher, counter::ItemsCount};
use simulator::{Engine, EngineConfig, PerfRow, Submission};

fn main() {
    divan::main();
}

fn engine() -> Engine {
    let row = PerfRow::named("h100_sxm/llama-3.1-8b/tp1/bfloat16");
    let row = row.unwrap_or_else(|| std::process::exit(2));
    Engine::new(EngineConfig::new(row.clone(), 16))
}

fn submission(number: u64, prompt: u32, output: u32) -> Submission {
    // Half of each prompt is shared by all.
    let half = u64::from(prompt / 32);
    let blocks = 0..u64::from(prompt / 16);
    let hash = |at: u64| {
        if at < half {
            at
        } else {
            (number + 1) << 32 | at
        }
    };
    Submission {
        prompt_tokens: prompt,
        output_tokens: output,
        blocks: blocks.map(hash).collect(),
        ..Submission::default()
    }
}

/// Tokens of 256 requests that decode together.
#[divan::bench]
fn decode_tokens(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(256_u32 * 100)).bench(|| {
        let mut engine = engine();
        run(&mut engine, 256, 64, 100)
    });
}

/// Whole requests of 2,000 prompt tokens and 100 output tokens.
#[divan::bench]
fn requests(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1000_u32)).bench(|| {
        let mut engine = engine();
        run(&mut engine, 1000, 2000, 100)
    });
}

/// Submits all at once and runs to the end; returns the number of events.
fn run(engine: &mut Engine, count: u64, prompt: u32, output: u32) -> usize {
    for number in 0..count {
        let taken = engine.submit(0, submission(number, prompt, output));
        debug_assert!(taken.is_ok(), "the queue has room");
    }
    let (mut events, mut total) = (Vec::new(), 0);
    while let Some(due) = engine.next_event() {
        engine.advance(due, &mut events);
        total += events.len();
        events.clear();
    }
    total
}
