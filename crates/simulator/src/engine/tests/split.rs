//! Prefill and decode on two engines.

use super::*;
use crate::perf::PerfRow;

fn pair() -> (Engine, Engine) {
    let mut config = config(ROW, 16, 1000);
    config.transfer = Transfer {
        setup: 2_000_000,
        bytes_per_sec: 10e9,
    };
    (Engine::new(config.clone()), Engine::new(config))
}

/// Prompt of 320 tokens; the prefill server emits one token and keeps the blocks.
fn prefill(engine: &mut Engine) -> (RequestId, Nanos) {
    let request = Submission {
        hold: true,
        ..submission(1, 320, 1)
    };
    let id = engine.submit(0, request).expect("taken");
    let finished = summary(&drain(engine), id).finished;
    (id, finished)
}

fn decode(engine: &mut Engine, at: Nanos, stream: u64) -> (Vec<Event>, RequestId) {
    let request = Submission {
        remote_tokens: 320,
        ..submission(stream, 320, 5)
    };
    let id = engine.submit(at, request).expect("taken");
    (drain(engine), id)
}

#[test]
fn the_decode_server_fetches_and_computes_one_token() {
    let (mut prefiller, mut decoder) = pair();
    let (held, at) = prefill(&mut prefiller);
    assert_eq!(
        (prefiller.used_blocks(), prefiller.held_requests()),
        (20, 1)
    );
    let (events, id) = decode(&mut decoder, at, 1);
    let until = events.iter().find_map(|event| match event {
        Event::Fetching { until, .. } => Some(*until),
        _ => None,
    });
    // 319 tokens of 128 KiB at 10 GB/s after the 2 ms of setup.
    let transfer = 2_000_000 + (319.0 * 131_072.0 / 10e9 * 1e9) as Nanos;
    assert_eq!(until, Some(at + transfer));
    let first = summary(&events, id).first_token.expect("emitted");
    let row = PerfRow::named(ROW).expect("shipped");
    let mut one = crate::perf::StepWork::default();
    one.add_prefill(319, 1);
    let step = (row.step_ms(&one) * 1e6).round() as Nanos;
    assert_eq!(first, at + transfer + step);
    assert!(prefiller.release(held) && !prefiller.release(held));
    assert_eq!((prefiller.used_blocks(), decoder.used_blocks()), (0, 0));
    assert_eq!(prefiller.cached_prefix(&submission(1, 320, 0).blocks), 20);
}

#[test]
fn what_the_decode_server_has_is_not_fetched_again() {
    let (_, mut decoder) = pair();
    decode(&mut decoder, 0, 1);
    let second = 1_000_000_000;
    let (events, _) = decode(&mut decoder, second, 1);
    let until = events.iter().find_map(|event| match event {
        Event::Fetching { until, .. } => Some(*until),
        _ => None,
    });
    // 19 of 20 blocks: the last may not come from the cache.
    let transfer = 2_000_000 + (15.0 * 131_072.0 / 10e9 * 1e9) as Nanos;
    assert_eq!(until, Some(second + transfer));
}

#[test]
fn others_run_during_a_transfer_and_an_abort_leaves_nothing() {
    let (_, mut decoder) = pair();
    let remote = Submission {
        remote_tokens: 320,
        ..submission(1, 320, 5)
    };
    let gone = decoder.submit(0, remote).expect("taken");
    let local = decoder.submit(0, submission(2, 32, 3)).expect("taken");
    let mut events = Vec::new();
    decoder.advance(0, &mut events);
    assert!(decoder.abort(1, gone).is_some());
    events.extend(drain(&mut decoder));
    assert_eq!(summary(&events, local).scheduled, Some(0));
    assert_eq!((decoder.used_blocks(), decoder.live_requests()), (0, 0));
}
