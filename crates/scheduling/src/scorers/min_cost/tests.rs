use serde_json::{Value, json};
use signals::Gauges;

use super::*;
use crate::scorers::tests::{build, score};
use crate::testing::Ground;

/// Endpoints with so many uncached tokens of a prompt of 10,000 and so much work before it.
fn ground(endpoints: &[(u64, u64)]) -> Ground {
    let mut ground = Ground::new(endpoints.len());
    ground.query.prompt_tokens = 10_000;
    for (state, &(uncached, work)) in ground.states.iter_mut().zip(endpoints) {
        state.uncached_tokens = uncached;
        state.load.prefill_work = work;
        state.load.before_first_token = u64::from(work > 0);
        state.load.requests = state.load.before_first_token;
    }
    ground
}

fn best(ground: &Ground) -> usize {
    let scores = score(&*build("min-cost-scorer", &Value::Null), ground);
    let best = scores.iter().cloned().fold(0.0, f32::max);
    assert!((best - 1.0).abs() < 1e-6);
    scores.iter().position(|score| *score == best).unwrap()
}

#[test]
fn short_queues_and_cached_prompts_are_cheap() {
    assert_eq!(best(&ground(&[(10_000, 0), (10_000, 5_000)])), 0);
    assert_eq!(best(&ground(&[(10_000, 0), (1_000, 0)])), 1);
    // A hit is worth a queue shorter than what it saves, and not a longer one.
    assert_eq!(best(&ground(&[(10_000, 0), (1_000, 3_000)])), 1);
    assert_eq!(best(&ground(&[(10_000, 0), (1_000, 60_000)])), 0);
    // Nine tenths of a short prompt do not make up for a long queue.
    assert_eq!(best(&ground(&[(200, 0), (20, 8_000)])), 0);
}

#[test]
fn equal_endpoints_score_equal() {
    let scores = score(
        &*build("min-cost-scorer", &Value::Null),
        &ground(&[(500, 100); 5]),
    );
    assert_eq!(scores, [1.0; 5]);
    assert_eq!(
        score(
            &*build("min-cost-scorer", &Value::Null),
            &ground(&[(500, 0)])
        ),
        [1.0]
    );
}

#[test]
fn slow_hardware_costs_more() {
    let mut ground = ground(&[(5_000, 0), (5_000, 0), (5_000, 0)]);
    for (state, secs) in ground.states.iter_mut().zip([4e-4, 2e-5, 1e-4]) {
        state.load.pace = PrefillPace {
            per_request_secs: 0.01,
            per_work_secs: secs,
            samples: 50,
        };
    }
    assert_eq!(best(&ground), 1);
    // One about which nothing was learned counts as the mean of the others.
    ground.states[0].load.pace = PrefillPace::default();
    ground.states.swap(0, 2);
    let scores = score(&*build("min-cost-scorer", &Value::Null), &ground);
    assert!(scores[1] > scores[2] && scores[2] > scores[0], "{scores:?}");
}

#[test]
fn queues_of_others_count_while_the_gauges_are_fresh() {
    let mut ground = ground(&[(1_000, 2_000), (1_000, 2_000)]);
    ground.states[0].signals.corrected.waiting = 9;
    assert_eq!(
        score(&*build("min-cost-scorer", &Value::Null), &ground),
        [1.0, 1.0]
    );
    ground
        .states
        .iter_mut()
        .for_each(|state| state.signals.fresh = true);
    assert_eq!(best(&ground), 1);
    // Our own requests are not counted twice.
    ground.states[0].signals.corrected.waiting = 1;
    assert_eq!(
        score(&*build("min-cost-scorer", &Value::Null), &ground),
        [1.0, 1.0]
    );
}

#[test]
fn full_caches_and_many_decodes_cost() {
    let mut ground = ground(&[(5_000, 0), (5_000, 0)]);
    for state in &mut ground.states {
        (state.signals.block_size, state.signals.blocks) = (16, 1_000);
        state.signals.fresh = true;
    }
    ground.states[0].signals.scraped = Gauges {
        kv_usage: 0.99,
        ..Gauges::default()
    };
    assert_eq!(best(&ground), 1);
    ground.states[0].signals.scraped = Gauges::default();
    assert_eq!(
        score(&*build("min-cost-scorer", &Value::Null), &ground),
        [1.0, 1.0]
    );
    ground.states[1].load.requests = 40;
    assert_eq!(best(&ground), 0);
    let none = build("min-cost-scorer", &json!({ "decodeWeight": 0 }));
    assert_eq!(score(&*none, &ground), [1.0, 1.0]);
}

#[test]
fn load_makes_own_work_weigh_more() {
    // The hit waits longer but costs the others less.
    let ground = ground(&[(10_000, 0), (500, 24_000)]);
    let scorer = build("min-cost-scorer", &json!({ "decodeWeight": 0 }));
    let quiet = score(&*scorer, &ground);
    assert!(quiet[0] > quiet[1], "{quiet:?}");
    let mut busy = ground;
    let mut scores = Vec::new();
    for arrival in 0..3_000 {
        busy.now = Time::from_secs_f64(200.0 + f64::from(arrival) * 0.02);
        scores = score(&*scorer, &busy);
    }
    assert!(scores[1] > scores[0], "{scores:?}");
}

#[test]
fn arrival_rate_and_busy_share_are_measured() {
    let mut traffic = Traffic::default();
    let mut last = (0.0, 0.0);
    for arrival in 0..2_000u32 {
        let busy = if arrival % 4 == 0 { 1.0 } else { 0.0 };
        last = traffic.arrive(busy, Time::from_secs_f64(5.0 + f64::from(arrival) * 0.1));
    }
    assert!((last.0 - 10.0).abs() < 0.5, "{last:?}");
    assert!((last.1 - 0.25).abs() < 0.05, "{last:?}");
    // After a pause the rate is small again; time that runs backwards does no harm.
    let (rate, _) = traffic.arrive(0.0, Time::from_secs_f64(500.0));
    assert!(rate < 0.1, "{rate}");
    let (rate, busy) = traffic.arrive(1.0, Time::from_secs_f64(1.0));
    assert!(rate.is_finite() && (0.0..=BUSY_MAX).contains(&busy));
}

#[test]
fn parameters_are_checked() {
    for bad in [
        json!({ "decodeWeight": -1 }),
        json!({ "kvWaitSecs": 1e9 }),
        json!({ "theta": 1 }),
    ] {
        assert!(
            crate::Registry::standard()
                .instance("min-cost-scorer", &bad)
                .is_err(),
            "{bad}"
        );
    }
}
