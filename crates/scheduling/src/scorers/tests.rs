use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use signals::{LoraState, Scrape, Time};

use crate::testing::Ground;
use crate::{Registry, Roles, Scorer};

pub(crate) fn build(kind: &str, parameters: &Value) -> Arc<dyn Scorer> {
    let instance = Registry::standard().instance(kind, parameters).unwrap();
    instance.scorer.unwrap()
}

pub(crate) fn score(scorer: &dyn Scorer, ground: &Ground) -> Vec<f32> {
    let kept = ground.all();
    let mut out = vec![0.0; kept.len()];
    scorer.score(&ground.field(), &kept, &mut out);
    out
}

fn close(got: &[f32], want: &[f32]) -> bool {
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(got, want)| (got - want).abs() < 1e-4)
}

fn gauges(values: &[(u32, u32, f32, bool)]) -> Ground {
    let mut ground = Ground::new(values.len());
    for (state, &(waiting, running, kv_usage, fresh)) in ground.states.iter_mut().zip(values) {
        state.signals.scraped = signals::Gauges {
            waiting,
            running,
            kv_usage,
        };
        state.signals.corrected = state.signals.scraped;
        state.signals.fresh = fresh;
    }
    ground
}

#[test]
fn queue_and_running_scores_are_relative() {
    for (kind, waits) in [
        ("queue-scorer", true),
        ("running-requests-size-scorer", false),
    ] {
        let case = |values: &[u32]| {
            let pairs: Vec<_> = values
                .iter()
                .map(|&value| {
                    if waits {
                        (value, 7, 0.0, true)
                    } else {
                        (7, value, 0.0, true)
                    }
                })
                .collect();
            score(&*build(kind, &Value::Null), &gauges(&pairs))
        };
        assert_eq!(case(&[10, 5, 0]), [0.0, 0.5, 1.0], "{kind}");
        assert_eq!(case(&[5, 5]), [1.0, 1.0], "{kind}");
        assert_eq!(case(&[9]), [1.0], "{kind}");
        assert_eq!(case(&[]), [0.0f32; 0], "{kind}");
    }
}

#[test]
fn scraped_readings_ignore_age_and_corrected_ones_do_not() {
    let ground = gauges(&[(0, 0, 0.0, false), (4, 0, 0.8, true), (8, 0, 0.2, true)]);
    let corrected = json!({ "gauges": "corrected" });
    assert_eq!(
        score(&*build("queue-scorer", &Value::Null), &ground),
        [1.0, 0.5, 0.0]
    );
    assert_eq!(
        score(&*build("queue-scorer", &corrected), &ground),
        [0.5, 1.0, 0.0]
    );
    let kv = "kv-cache-utilization-scorer";
    assert!(close(
        &score(&*build(kv, &Value::Null), &ground),
        &[1.0, 0.2, 0.8]
    ));
    assert!(close(
        &score(&*build(kv, &corrected), &ground),
        &[0.5, 0.2, 0.8]
    ));
    let stale = gauges(&[(0, 0, 0.0, false), (4, 0, 0.8, false)]);
    assert_eq!(
        score(&*build("queue-scorer", &corrected), &stale),
        [1.0, 1.0]
    );
    assert_eq!(score(&*build(kv, &corrected), &stale), [1.0, 1.0]);
}

#[test]
fn corrected_readings_are_used_where_asked_for() {
    let mut ground = gauges(&[(1, 0, 0.1, true), (1, 0, 0.1, true)]);
    ground.states[0].signals.corrected.waiting = 3;
    assert_eq!(
        score(&*build("queue-scorer", &Value::Null), &ground),
        [1.0, 1.0]
    );
    let corrected = json!({ "gauges": "corrected" });
    assert_eq!(
        score(&*build("queue-scorer", &corrected), &ground),
        [0.0, 1.0]
    );
}

#[test]
fn adapters_in_their_four_states() {
    let mut ground = Ground::new(5);
    ground.query.model = "sql";
    let rows: [(&[&str], &[&str], u32); 4] = [
        (&["sql"], &["x"], 1),
        (&["x"], &[], 2),
        (&["x"], &["sql"], 2),
        (&["x"], &["y"], 2),
    ];
    for (place, (running, waiting, max)) in rows.into_iter().enumerate() {
        lora(&mut ground, place, running, waiting, max);
    }
    let scores = score(&*build("lora-affinity-scorer", &Value::Null), &ground);
    assert_eq!(scores, [1.0, 0.8, 0.6, 0.0, 0.0]);
}

fn lora(ground: &mut Ground, place: usize, running: &[&str], waiting: &[&str], max: u32) {
    let names = |list: &[&str]| list.iter().map(|name| Arc::from(*name)).collect();
    let lora = LoraState {
        running: names(running),
        waiting: names(waiting),
        max,
    };
    let scrape = Scrape {
        lora: Some(lora),
        ..Scrape::default()
    };
    ground.endpoints[place]
        .signals()
        .apply(&scrape, Time::from_secs_f64(99.9));
    ground.states[place].signals.reports_adapters = true;
}

#[test]
fn prefix_share_and_length() {
    let case = |parameters: Value, blocks: usize, block_tokens, matched: u32| {
        let mut ground = Ground::new(1);
        ground.query.blocks = &[0; 100][..blocks];
        ground.query.block_tokens = block_tokens;
        ground.states[0].matched_blocks = matched;
        score(&*build("prefix-cache-scorer", &parameters), &ground)[0]
    };
    assert_eq!(case(Value::Null, 10, 64, 5), 0.5);
    assert_eq!(case(Value::Null, 0, 64, 0), 0.0);
    let length = json!({ "matchLengthWeight": 0.5, "matchLengthScaleTokens": 100 });
    assert!((case(length.clone(), 10, 1, 5) - 0.251_25).abs() < 1e-6);
    assert!((case(length.clone(), 100, 1, 50) - 0.375).abs() < 1e-6);
    assert!((case(length, 100, 64, 100) - 1.0).abs() < 1e-6);
}

#[test]
fn in_flight_tokens_and_requests() {
    let mut ground = Ground::new(3);
    for (state, (tokens, uncached, requests)) in
        ground
            .states
            .iter_mut()
            .zip([(0, 250, 3), (250, 250, 0), (750, 250, 6)])
    {
        state.load.prefill_tokens = tokens;
        state.uncached_tokens = uncached;
        state.load.requests = requests;
    }
    let tokens = |threshold: i64| {
        let parameters = json!({ "queueThresholdTokens": threshold });
        score(&*build("token-load-scorer", &parameters), &ground)
    };
    assert!(close(&tokens(1000), &[0.75, 0.5, 0.0]));
    assert!(close(&tokens(500), &[0.5, 0.0, 0.0]));
    assert!(close(
        &tokens(-1),
        &[
            1.0 - 250.0 / 4_194_304.0,
            1.0 - 500.0 / 4_194_304.0,
            0.99976
        ]
    ));
    let requests =
        |parameters: Value| score(&*build("active-request-scorer", &parameters), &ground);
    assert_eq!(requests(Value::Null), [0.5, 1.0, 0.0]);
    assert_eq!(
        requests(json!({ "idleThreshold": 3, "maxBusyScore": 0.5 })),
        [1.0, 1.0, 0.0]
    );
    assert_eq!(
        requests(json!({ "idleThreshold": -3, "maxBusyScore": 7 })),
        [0.5, 1.0, 0.0]
    );
    assert_eq!(
        requests(json!({ "requestTimeout": "never", "inFlightLoadProducerName": "x" })).len(),
        3
    );
}

/// A ground with everything drawn at random, odd values included.
fn grounds() -> impl Strategy<Value = Ground> {
    let usage = prop_oneof![0.0f32..1.5, Just(f32::NAN), Just(f32::INFINITY)];
    let state = (
        0..50u32,
        0..50u32,
        usage,
        any::<bool>(),
        0..200u64,
        0..90_000u64,
        0..20u32,
    );
    proptest::collection::vec(state, 1..12).prop_map(|states| {
        let mut ground = Ground::new(states.len());
        ground.query.blocks = &[0; 20];
        ground.query.block_tokens = 64;
        ground.query.prompt_tokens = 20 * 64;
        for (state, (waiting, running, kv_usage, fresh, requests, tokens, matched)) in
            ground.states.iter_mut().zip(states)
        {
            state.signals.scraped = signals::Gauges {
                waiting,
                running,
                kv_usage,
            };
            state.signals.corrected = state.signals.scraped;
            (state.signals.block_size, state.signals.blocks) = (16, running * 100);
            state.signals.fresh = fresh;
            state.load.requests = requests;
            state.load.before_first_token = requests / 2;
            state.load.prefill_tokens = tokens;
            state.load.prefill_work = tokens * 2;
            state.matched_blocks = matched;
            state.uncached_tokens = 20 * 64 - u64::from(matched) * 64;
        }
        ground
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order of endpoints, each gets the same score; and after the profile's clamp
    /// it is a number in 0..=1.
    #[test]
    fn scores_do_not_depend_on_order(ground in grounds(), by in 0..12usize) {
        let mut turned = Ground::new(ground.states.len());
        turned.query = ground.query;
        turned.states = ground.states.clone();
        let by = by % ground.states.len();
        turned.states.rotate_left(by);
        let registry = Registry::standard();
        for kind in registry.kinds().iter().filter(|kind| kind.roles.has(Roles::SCORER)) {
            // Endpoints that were never used come in the order of the list.
            // A hash ring knows endpoints by name, and names do not turn with the states.
            let ordered = matches!(kind.name, "no-hit-lru-scorer" | "consistent-hash-scorer");
            for parameters in [Value::Null, json!({ "gauges": "corrected" })] {
                if ordered || registry.instance(kind.name, &parameters).is_err() {
                    continue;
                }
                let mut straight = score(&*build(kind.name, &parameters), &ground);
                let rotated = score(&*build(kind.name, &parameters), &turned);
                straight.rotate_left(by);
                for (one, other) in straight.iter().zip(&rotated) {
                    let (one, other) =
                        (crate::profile::within_range(*one), crate::profile::within_range(*other));
                    prop_assert!((0.0..=1.0).contains(&one));
                    prop_assert!((one - other).abs() < 1e-3, "{} {one} {other}", kind.name);
                }
            }
        }
    }
}
