//! The engine against closed forms and hand-worked cases; invariants under random use are in
//! `properties`.

mod fast_forward;
mod properties;
mod split;

use super::*;
use crate::perf::PerfRow;

pub(super) const ROW: &str = "h100_sxm/llama-3.1-8b/tp1/bfloat16";

pub(super) fn config(row: &str, block_size: u32, kv_blocks: u32) -> EngineConfig {
    let mut config = EngineConfig::new(PerfRow::named(row).expect("shipped").clone(), block_size);
    config.kv_blocks = kv_blocks;
    config
}

/// A prompt whose blocks, outputs included, hash to `stream`, 0, 1, 2, ...
pub(super) fn submission(stream: u64, prompt: u32, output: u32) -> Submission {
    let blocks = (0..u64::from((prompt + output) / 16)).map(|at| (stream << 32) | at);
    Submission {
        prompt_tokens: prompt,
        output_tokens: output,
        blocks: blocks.collect(),
        ..Submission::default()
    }
}

/// Runs until nothing is left to do.
pub(super) fn drain(engine: &mut Engine) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(due) = engine.next_event() {
        engine.advance(due, &mut events);
    }
    events
}

fn summary(events: &[Event], wanted: RequestId) -> Summary {
    let found = events.iter().find_map(|event| match event {
        Event::Finished { id, summary } if *id == wanted => Some(*summary),
        _ => None,
    });
    found.expect("finished")
}

fn ttft_ms(summary: &Summary) -> f64 {
    (summary.first_token.expect("emitted") - summary.arrived) as f64 / 1e6
}

/// Time to the first token on an idle engine by the published formula, written a second time.
fn closed_form_ms(row: &PerfRow, cached: u32, prompt: u32, budget: u32) -> f64 {
    let (mut context, mut total) = (cached, 0.0);
    while context < prompt {
        let chunk = budget.min(prompt - context);
        let mut work = crate::perf::StepWork::default();
        work.add_prefill(context, chunk);
        let pairs = f64::from(chunk) * (f64::from(context) + 0.5 * f64::from(chunk));
        if chunk > 512 {
            let line = row.linear_fit.a_ms + row.linear_fit.b_ms_per_tok * f64::from(chunk);
            let at_512 =
                row.linear_ms[row.linear_ms_tokens.iter().position(|t| *t == 512).unwrap()];
            total += row.host_ms
                + line.max(at_512)
                + row.attn_prefill_ms_per_pair * pairs
                + row.lm_head_ms.b1;
        } else {
            total += row.step_ms(&work);
        }
        context += chunk;
    }
    total
}

#[test]
fn idle_ttft_is_the_closed_form_for_every_row() {
    for name in PerfRow::names() {
        for prompt in [1, 100, 512, 513, 5000, 8192, 8193, 20_000, 100_000] {
            let mut engine = Engine::new(config(name, 16, 20_000));
            let id = engine
                .submit(7_000, submission(1, prompt, 2))
                .expect("taken");
            let events = drain(&mut engine);
            let got = ttft_ms(&summary(&events, id));
            let expected = closed_form_ms(PerfRow::named(name).expect("shipped"), 0, prompt, 8192);
            assert!(
                (got - expected).abs() < 1e-4,
                "{name} {prompt}: {got} {expected}"
            );
        }
    }
}

#[test]
fn a_cached_prefix_shortens_ttft_to_the_closed_form_of_the_rest() {
    let mut engine = Engine::new(config(ROW, 16, 20_000));
    engine.submit(0, submission(1, 5000, 1)).expect("taken");
    let start = drain(&mut engine);
    assert!(matches!(start.last(), Some(Event::Finished { .. })));
    let id = engine
        .submit(10_000_000_000, submission(1, 5000, 1))
        .expect("taken");
    let second = summary(&drain(&mut engine), id);
    // 312 full blocks of 16; the last token is never taken from the cache.
    assert_eq!(second.cached_tokens, 312 * 16);
    let expected = closed_form_ms(PerfRow::named(ROW).expect("shipped"), 4992, 5000, 8192);
    assert!((ttft_ms(&second) - expected).abs() < 1e-4);
}

#[test]
fn prefix_hits_are_counted_in_tokens_and_leave_one_token_to_compute() {
    let mut engine = Engine::new(config(ROW, 16, 1000));
    // Prompt of one request, prompt of the next, tokens it finds.
    let table = [
        (1, 64, 0),
        (1, 64, 48),
        (1, 65, 64),
        (1, 128, 64),
        (1, 100, 96),
        (2, 64, 0),
    ];
    let (mut queries, mut hits) = (0, 0);
    for (stream, prompt, expected) in table {
        let id = engine
            .submit(0, submission(stream, prompt, 1))
            .expect("taken");
        let found = summary(&drain(&mut engine), id).cached_tokens;
        assert_eq!(found, expected, "{stream} {prompt}");
        queries += u64::from(prompt);
        hits += u64::from(found);
    }
    let counters = engine.counters();
    assert_eq!(
        (counters.cache_queries, counters.cache_hits),
        (queries, hits)
    );
}

#[test]
fn emitted_tokens_are_cached_for_the_next_turn_but_for_the_last() {
    let mut engine = Engine::new(config(ROW, 16, 1000));
    engine.submit(0, submission(1, 64, 64)).expect("taken");
    drain(&mut engine);
    let next = engine.submit(0, submission(1, 200, 1)).expect("taken");
    // 128 tokens exist; the last one was emitted but never computed.
    assert_eq!(summary(&drain(&mut engine), next).cached_tokens, 112);
}

#[test]
fn a_block_is_found_only_after_the_step_that_computed_it() {
    let mut engine = Engine::new(config(ROW, 16, 1000));
    let first = engine.submit(0, submission(1, 320, 1)).expect("taken");
    let same_step = engine.submit(0, submission(1, 320, 1)).expect("taken");
    let mut events = Vec::new();
    engine.advance(0, &mut events);
    assert_eq!(engine.cached_blocks(), 0);
    let later = engine.submit(1, submission(1, 320, 1)).expect("taken");
    events.extend(drain(&mut engine));
    let cached = [first, same_step, later].map(|id| summary(&events, id).cached_tokens);
    assert_eq!(cached, [0, 0, 304]);
    assert_eq!(engine.cached_blocks(), 20);
}

#[test]
fn without_prefix_caching_nothing_is_found() {
    let mut config = config(ROW, 16, 1000);
    config.prefix_caching = false;
    let mut engine = Engine::new(config);
    for _ in 0..2 {
        let id = engine.submit(0, submission(1, 320, 1)).expect("taken");
        assert_eq!(summary(&drain(&mut engine), id).cached_tokens, 0);
    }
    assert_eq!(engine.cached_blocks(), 0);
}

#[test]
fn eviction_takes_the_least_recently_freed_and_its_tail_first() {
    let mut engine = Engine::new(config(ROW, 16, 30));
    for stream in [1, 2] {
        engine.submit(0, submission(stream, 160, 1)).expect("taken");
        drain(&mut engine);
    }
    // Ten blocks of each are cached, ten are empty. Fifteen new ones take the empty ones and the
    // last five of the older prompt.
    engine.submit(0, submission(3, 240, 1)).expect("taken");
    drain(&mut engine);
    assert_eq!(engine.cached_prefix(&submission(1, 160, 1).blocks), 5);
    assert_eq!(engine.cached_prefix(&submission(2, 160, 1).blocks), 10);
}

#[test]
fn a_decode_without_a_block_preempts_the_youngest_which_keeps_its_tokens() {
    let mut engine = Engine::new(config(ROW, 16, 10));
    let old = engine.submit(0, submission(1, 64, 80)).expect("taken");
    let young = engine.submit(0, submission(2, 64, 80)).expect("taken");
    // Fits only when the young one is done: what was preempted goes ahead of what waits.
    let waiting = engine.submit(1, submission(3, 112, 1)).expect("taken");
    let events = drain(&mut engine);
    let (old, young) = (summary(&events, old), summary(&events, young));
    assert_eq!((old.preemptions, old.output_tokens), (0, 80));
    assert_eq!((young.preemptions, young.output_tokens), (1, 80));
    assert!(young.finished > old.finished);
    assert!(summary(&events, waiting).scheduled >= Some(young.finished));
    let indices: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Token { index, .. } => Some(*index),
            _ => None,
        })
        .collect();
    assert_eq!(indices.len(), 161);
    assert_eq!(engine.counters().preemptions, 1);
    assert_eq!(engine.used_blocks(), 0);
}

#[test]
fn a_prompt_that_does_not_fit_holds_up_those_behind_it() {
    let mut engine = Engine::new(config(ROW, 16, 100));
    let big = engine.submit(0, submission(1, 1280, 50)).expect("taken");
    let too_big_now = engine.submit(0, submission(2, 640, 1)).expect("taken");
    let small = engine.submit(0, submission(3, 16, 1)).expect("taken");
    let events = drain(&mut engine);
    let scheduled = [big, too_big_now, small].map(|id| summary(&events, id).scheduled);
    assert!(scheduled[1] >= Some(summary(&events, big).finished));
    assert!(scheduled[2] >= scheduled[1]);
}

#[test]
fn decodes_go_on_while_a_long_prompt_is_prefilled_in_chunks() {
    let mut engine = Engine::new(config(ROW, 16, 20_000));
    let decoding = engine.submit(0, submission(1, 16, 50)).expect("taken");
    let mut events = Vec::new();
    while engine.counters().steps < 5 {
        engine.advance(engine.next_event().expect("busy"), &mut events);
    }
    let now = engine.next_event().expect("busy");
    let long = engine.submit(now, submission(2, 40_000, 1)).expect("taken");
    events.extend(drain(&mut engine));
    let first = summary(&events, long).first_token.expect("emitted");
    let during = events.iter().filter(
        |event| matches!(event, Event::Token { id, at, .. } if *id == decoding && (now..=first).contains(at)),
    );
    // 40,000 tokens in steps of 8,192 less the decode's one: five steps, a token in each.
    assert!(during.count() >= 5);
}

#[test]
fn an_adapter_loads_for_its_request_only() {
    let mut config = config(ROW, 16, 1000);
    config.max_loras = 1;
    config.lora_load = 500_000_000;
    let mut engine = Engine::new(config);
    let adapted = |stream, adapter| Submission {
        adapter: Some(AdapterId(adapter)),
        ..submission(stream, 32, 4)
    };
    let first = engine.submit(0, adapted(1, 1)).expect("taken");
    let base = engine.submit(0, submission(2, 32, 4)).expect("taken");
    let other = engine.submit(0, adapted(3, 2)).expect("taken");
    let again = engine.submit(0, adapted(4, 1)).expect("taken");
    let mut events = Vec::new();
    engine.advance(0, &mut events);
    assert_eq!(
        engine.gauges().waiting,
        0,
        "gauges stay as they were until the step ends"
    );
    engine.advance(engine.next_event().expect("busy"), &mut events);
    assert_eq!(
        engine.gauges().waiting_adapters,
        [AdapterId(1), AdapterId(2)]
    );
    events.extend(drain(&mut engine));
    let scheduled = |id| summary(&events, id).scheduled.expect("ran");
    assert_eq!(scheduled(base), 0);
    assert!((500_000_000..510_000_000).contains(&scheduled(first)));
    assert_eq!(scheduled(again), scheduled(first), "one load serves both");
    // The only slot is free again when both are done, and then the other adapter loads.
    let freed = summary(&events, first)
        .finished
        .max(summary(&events, again).finished);
    assert!(scheduled(other) >= freed + 500_000_000);
    assert_eq!(engine.lora.users(), 0);
}

#[test]
fn an_adapter_that_is_not_in_host_memory_takes_longer() {
    let mut config = config(ROW, 16, 1000);
    (config.max_loras, config.max_cpu_loras) = (1, 2);
    (config.lora_load, config.lora_fetch) = (100_000_000, 900_000_000);
    let mut engine = Engine::new(config);
    let mut wait = |at: Nanos, adapter| {
        let submission = Submission {
            adapter: Some(AdapterId(adapter)),
            ..submission(1, 32, 1)
        };
        let id = engine.submit(at, submission).expect("taken");
        let summary = summary(&drain(&mut engine), id);
        (summary.scheduled.expect("ran") - at) / 1_000_000
    };
    // Two fit into host memory, one onto the GPU.
    let uses = (1..).zip([1, 2, 1, 3, 1, 2]);
    let waits: Vec<u64> = uses
        .map(|(turn, adapter)| wait(turn * 10_000_000_000, adapter))
        .collect();
    assert_eq!(waits, [1000, 1000, 100, 1000, 100, 1000]);
}

#[test]
fn a_cold_engine_starts_late_and_slowly() {
    let mut config = config(ROW, 16, 1000);
    let second = 1_000_000_000;
    (config.startup, config.warm_up, config.cold_factor) = (2 * second, 10 * second, 3.0);
    let mut engine = Engine::new(config);
    let mut ttft = |at: Nanos| {
        let id = engine.submit(at, submission(at, 100, 1)).expect("taken");
        ttft_ms(&summary(&drain(&mut engine), id))
    };
    let (first, half, warm) = (ttft(0), ttft(7 * second), ttft(20 * second));
    assert!((first - 2000.0 - 3.0 * warm).abs() < 1e-5, "{first} {warm}");
    assert!((half - 2.0 * warm).abs() < 1e-5, "{half} {warm}");
}

#[test]
fn distinct_adapters_lengthen_the_step() {
    let end = |adapters: [Option<u32>; 2]| {
        let mut config = config(ROW, 16, 1000);
        (config.lora_load, config.lora_step_overhead) = (0, 0.1);
        let mut engine = Engine::new(config);
        for adapter in adapters {
            let adapter = adapter.map(AdapterId);
            let submission = Submission {
                adapter,
                ..submission(1, 32, 1)
            };
            engine.submit(0, submission).expect("taken");
        }
        engine.advance(0, &mut Vec::new());
        engine.next_event().expect("busy") as f64
    };
    let base = end([None, None]);
    let table = [
        ([Some(1), None], 1.1),
        ([Some(1), Some(1)], 1.1),
        ([Some(1), Some(2)], 1.2),
    ];
    for (adapters, factor) in table {
        assert!((end(adapters) / base - factor).abs() < 1e-6, "{adapters:?}");
    }
}

#[test]
fn an_aborted_request_frees_its_blocks_at_once_and_leaves_no_trace() {
    let mut engine = Engine::new(config(ROW, 16, 100));
    let running = engine.submit(0, submission(1, 160, 50)).expect("taken");
    engine.advance(0, &mut Vec::new());
    let waiting = engine.submit(1, submission(2, 160, 50)).expect("taken");
    assert_eq!(engine.used_blocks(), 10);
    let end = engine.next_event();
    assert_eq!(
        engine.abort(2, running).expect("live").reason,
        FinishReason::Aborted
    );
    assert_eq!(engine.abort(2, waiting).expect("live").scheduled, None);
    assert_eq!(engine.abort(3, running), None);
    assert_eq!((engine.used_blocks(), engine.live_requests()), (0, 0));
    assert_eq!(
        engine.next_event(),
        end,
        "the step under way takes its time"
    );
    assert!(drain(&mut engine).is_empty());
    assert_eq!(
        (engine.gauges().running, engine.gauges().kv_usage),
        (0, 0.0)
    );
    assert_eq!(engine.cached_blocks(), 0, "its blocks were never computed");
}

#[test]
fn refusals_leave_the_engine_unchanged() {
    let mut config = config(ROW, 16, 100);
    (config.max_waiting, config.max_model_len) = (2, 1000);
    let mut engine = Engine::new(config);
    let refused = |engine: &mut Engine, sub| engine.submit(0, sub).expect_err("refused");
    assert_eq!(
        refused(&mut engine, submission(1, 0, 1)),
        Refusal::EmptyPrompt
    );
    let long = refused(&mut engine, submission(1, 900, 101));
    assert_eq!(
        long,
        Refusal::TooLong {
            tokens: 1001,
            allowed: 1000
        }
    );
    engine.submit(0, submission(1, 10, 1)).expect("taken");
    engine.submit(0, submission(1, 10, 1)).expect("taken");
    assert_eq!(
        refused(&mut engine, submission(1, 10, 1)),
        Refusal::QueueFull { waiting: 2 }
    );
    assert_eq!(engine.live_requests(), 2);
}

#[test]
fn a_pooling_request_ends_with_its_prefill_and_emits_nothing() {
    let mut engine = Engine::new(config(ROW, 16, 100));
    let id = engine.submit(0, submission(1, 100, 0)).expect("taken");
    let events = drain(&mut engine);
    assert_eq!(events.len(), 2, "scheduled and finished");
    assert_eq!(summary(&events, id).output_tokens, 0);
    assert_eq!(engine.counters().generation_tokens, 0);
}

/// Decode throughput grows with the batch, ever less so.
#[test]
fn throughput_rises_with_the_batch_and_bends() {
    let throughput = |batch: u64| {
        let mut engine = Engine::new(config(ROW, 16, 27_000));
        for stream in 0..batch {
            engine
                .submit(0, submission(stream, 512, 200))
                .expect("taken");
        }
        let events = drain(&mut engine);
        let end = events.iter().filter_map(|event| match event {
            Event::Finished { summary, .. } => Some(summary.finished),
            _ => None,
        });
        batch as f64 * 200.0 / end.max().expect("finished") as f64
    };
    let curve = [1, 4, 16, 64, 256].map(throughput);
    assert!(curve.is_sorted(), "{curve:?}");
    assert!(
        curve[1] / curve[0] > 3.0 && curve[4] / curve[3] < 3.0,
        "{curve:?}"
    );
}
