//! Fast-forward must be invisible: the same events at the same nanosecond, the same gauges.

use proptest::prelude::*;

use super::properties::{Op, cramped, op, submission_of};
use super::*;

fn with_fast_forward(engine: &Engine, fast_forward: bool) -> Engine {
    let config = EngineConfig {
        fast_forward,
        cache_changes: true,
        ..engine.config().clone()
    };
    Engine::new(config)
}

/// Space for dozens of long decodes, so that stretches are long.
fn roomy() -> Engine {
    let mut config = config(ROW, 16, 400);
    config.max_num_batched_tokens = 256;
    Engine::new(config)
}

/// What was seen of a run: events, gauges at each wait, and the counters at the end.
type Seen = (Vec<Event>, Vec<Gauges>, Counters, Vec<CacheChange>);

/// With `hashed_outputs`, blocks of the output get hashes too, and stretches are short.
fn run(ops: &[Op], engine: &mut Engine, hashed_outputs: bool) -> Seen {
    let (mut now, mut events, mut gauges) = (0, Vec::new(), Vec::new());
    let mut submitted = Vec::new();
    for op in ops {
        match op {
            Op::Submit { prompt, .. } => {
                let mut submission = submission_of(op).expect("a submission");
                if !hashed_outputs {
                    submission.blocks.truncate((prompt / 16) as usize);
                }
                submitted.extend(engine.submit(now, submission));
            }
            Op::Abort { which } => {
                if let Some(id) = submitted.get(which % submitted.len().max(1)) {
                    engine.abort(now, *id);
                }
            }
            Op::Wait { nanos } => {
                now += nanos;
                engine.advance(now, &mut events);
                gauges.push(engine.gauges_at(now));
            }
        }
    }
    events.extend(drain(engine));
    engine.pool.check();
    let mut changes = Vec::new();
    engine.take_cache_changes(&mut changes);
    (events, gauges, *engine.counters(), changes)
}

/// In order of time; ids depend on the order in which places became vacant, which is the same.
fn ordered(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| match event {
        Event::Scheduled { at, .. } | Event::Fetching { at, .. } | Event::Token { at, .. } => *at,
        Event::Finished { summary, .. } => summary.finished,
    });
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn stretches_equal_single_steps(
        ops in proptest::collection::vec(op(), 1..100),
        small: bool,
        hashed_outputs: bool,
    ) {
        let engine = || if small { cramped() } else { roomy() };
        let single = run(&ops, &mut with_fast_forward(&engine(), false), hashed_outputs);
        let stretched = run(&ops, &mut with_fast_forward(&engine(), true), hashed_outputs);
        prop_assert_eq!(ordered(single.0), ordered(stretched.0));
        prop_assert_eq!(single.1, stretched.1);
        prop_assert_eq!(single.2, stretched.2);
    }
}

#[test]
fn a_lone_decode_is_one_event() {
    let mut engine = with_fast_forward(&roomy(), true);
    engine.submit(0, submission(1, 64, 1000)).expect("taken");
    let mut calls = 0;
    while let Some(due) = engine.next_event() {
        engine.advance(due, &mut Vec::new());
        calls += 1;
    }
    // Its start, its prefill, and a stretch up to each block that gets a hash.
    assert!(calls <= 2 + 1064 / 16, "{calls}");
    assert_eq!(engine.counters().generation_tokens, 1000);
}

#[test]
fn only_first_tokens_are_told_if_so_wished() {
    let mut config = config(ROW, 16, 400);
    config.token_events = TokenEvents::First;
    let mut engine = Engine::new(config);
    engine.submit(0, submission(1, 64, 100)).expect("taken");
    let events = drain(&mut engine);
    let tokens = events
        .iter()
        .filter(|event| matches!(event, Event::Token { .. }));
    assert_eq!(tokens.count(), 1);
    assert_eq!(engine.counters().generation_tokens, 100);
}

/// Whoever replays the changes knows what is in the cache.
#[test]
fn cache_changes_tell_the_whole_story() {
    let mut config = config(ROW, 16, 60);
    config.cache_changes = true;
    let mut engine = Engine::new(config);
    let mut known = std::collections::BTreeSet::new();
    let mut changes = Vec::new();
    for round in 0..40 {
        let _ = engine.submit(
            round,
            submission(round % 3, 60 + 16 * round as u32 % 200, 40),
        );
        if round == 20 {
            engine.flush_cache(round);
        }
        drain(&mut engine);
        engine.take_cache_changes(&mut changes);
        for change in changes.drain(..) {
            match change {
                CacheChange::Stored {
                    hash,
                    parent,
                    index,
                    ..
                } => {
                    assert!(known.insert(hash), "stored once");
                    assert_eq!(parent, index.checked_sub(1).map(|_| hash - 1));
                }
                CacheChange::Removed { hash } => assert!(known.remove(&hash), "was there"),
                CacheChange::Cleared => known.clear(),
            }
        }
        assert_eq!(known.len(), engine.cached_blocks());
        assert!(known.iter().all(|hash| engine.pool.matching(&[*hash]) == 1));
    }
    assert!(engine.counters().cache_hits > 0);
}
