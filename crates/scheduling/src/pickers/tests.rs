use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::rng;
use std::sync::Arc;

use crate::{Picker, Registry};

fn build(kind: &str, parameters: &Value) -> Arc<dyn Picker> {
    let instance = Registry::standard().instance(kind, parameters).unwrap();
    instance.picker.unwrap()
}

fn pick(picker: &dyn Picker, totals: &[f32], seed: u64) -> Vec<u32> {
    let mut order = Vec::new();
    picker.pick(totals, &mut rng(seed), &mut order);
    order
}

/// How often each place comes first over many seeds.
fn firsts(picker: &dyn Picker, totals: &[f32]) -> Vec<f64> {
    let mut counts = vec![0.0; totals.len()];
    let mut rng = rng(7);
    for _ in 0..20_000 {
        let mut order = Vec::new();
        picker.pick(totals, &mut rng, &mut order);
        counts[order[0] as usize] += 1.0 / 20_000.0;
    }
    counts
}

fn near(got: &[f64], want: &[f64]) {
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 0.02, "{got} is not {want}");
    }
}

#[test]
fn highest_sum_first_and_ties_at_random() {
    let picker = build("max-score-picker", &Value::Null);
    assert_eq!(pick(&*picker, &[0.5, 2.0, -1.0, 1.0], 1), [1, 3, 0, 2]);
    near(
        &firsts(&*picker, &[1.0, 3.0, 3.0, 3.0, 0.0]),
        &[0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0],
    );
    near(&firsts(&*picker, &[1.0; 20]), &[0.05; 20]);
    let first = pick(&*picker, &[1.0; 6], 3);
    assert_eq!(
        first,
        pick(&*picker, &[1.0; 6], 3),
        "the draw decides, nothing else"
    );
}

#[test]
fn random_is_uniform() {
    let picker = build("random-picker", &Value::Null);
    near(&firsts(&*picker, &[9.0, 0.0, -3.0, 1.0]), &[0.25; 4]);
}

#[test]
fn weighted_random_is_proportional() {
    let picker = build("weighted-random-picker", &Value::Null);
    near(
        &firsts(&*picker, &[0.1, 0.6, 0.0, 0.3]),
        &[0.1, 0.6, 0.0, 0.3],
    );
    near(&firsts(&*picker, &[100.0, 300.0]), &[0.25, 0.75]);
    near(&firsts(&*picker, &[0.0, -1.0, 0.0, 0.0]), &[0.25; 4]);
    assert_eq!(pick(&*picker, &[0.0, 5.0, -2.0], 1)[0], 1);
}

#[test]
fn round_robin_takes_turns() {
    let picker = build("round-robin-picker", &Value::Null);
    assert_eq!(pick(&*picker, &[0.0, 9.0, 0.0], 1), [0, 1, 2]);
    assert_eq!(pick(&*picker, &[0.0, 9.0, 0.0], 1), [1, 2, 0]);
    assert_eq!(pick(&*picker, &[0.0, 9.0, 0.0], 1), [2, 0, 1]);
    assert_eq!(pick(&*picker, &[0.0, 9.0], 1), [1, 0]);
}

/// A proxy is told of as many as are asked for, one when nobody asks; the gateway has its fallbacks.
#[test]
fn the_number_of_endpoints() {
    for kind in KINDS.iter().map(|kind| kind.name) {
        let numbers = |parameters: Value| {
            let picker = build(kind, &parameters);
            (picker.named(), pick(&*picker, &[1.0; 12], 5).len())
        };
        for (given, want) in [
            (Value::Null, (1, 8)),
            (json!({}), (1, 8)),
            (json!({ "maxNumOfEndpoints": 3 }), (3, 8)),
            (json!({ "maxNumOfEndpoints": 0 }), (1, 8)),
            (json!({ "maxNumOfEndpoints": -5 }), (1, 8)),
            (json!({ "maxNumOfEndpoints": 10 }), (10, 10)),
            (json!({ "maxNumOfEndpoints": 500 }), (64, 12)),
        ] {
            assert_eq!(numbers(given.clone()), want, "{kind} {given}");
        }
        let misspelt = json!({ "maxNumOfEndpoint": 1 });
        assert!(
            Registry::standard().instance(kind, &misspelt).is_err(),
            "{kind}"
        );
    }
    assert_eq!(MaxScore::default().named(), MAX_FALLBACKS);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_picker_returns_distinct_places(totals in proptest::collection::vec(-2.0f32..9.0, 1..30), seed: u64) {
        for kind in KINDS.iter().map(|kind| kind.name) {
            let order = pick(&*build(kind, &Value::Null), &totals, seed);
            let mut distinct = order.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(order.len(), totals.len().min(MAX_FALLBACKS));
            prop_assert_eq!(distinct.len(), order.len());
            prop_assert!(order.iter().all(|&place| (place as usize) < totals.len()));
        }
    }

    #[test]
    fn max_score_agrees_with_a_sort(totals in proptest::collection::vec(0..6u8, 1..30), seed: u64) {
        let totals: Vec<f32> = totals.into_iter().map(f32::from).collect();
        let order = pick(&*build("max-score-picker", &Value::Null), &totals, seed);
        let got: Vec<f32> = order.iter().map(|&place| totals[place as usize]).collect();
        let mut want = totals;
        want.sort_by(|a, b| b.total_cmp(a));
        want.truncate(MAX_FALLBACKS);
        prop_assert_eq!(got, want);
    }
}
