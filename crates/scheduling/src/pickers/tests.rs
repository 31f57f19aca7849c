use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::rng;
use crate::{Picker, Plugin};

fn build(kind: &str, parameters: &Value) -> Box<dyn Picker> {
    let factory = FACTORIES
        .iter()
        .find(|factory| factory.kind == kind)
        .unwrap();
    match (factory.build)(parameters).unwrap() {
        Plugin::Picker(picker) => picker,
        other => panic!("{other:?}"),
    }
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

#[test]
fn the_number_of_endpoints() {
    for kind in FACTORIES.iter().map(|factory| factory.kind) {
        let length = |parameters: Value| pick(&*build(kind, &parameters), &[1.0; 12], 5).len();
        assert_eq!(length(Value::Null), MAX_FALLBACKS, "{kind}");
        assert_eq!(length(json!({ "maxNumOfEndpoints": 3 })), 3, "{kind}");
        assert_eq!(length(json!({ "maxNumOfEndpoints": 0 })), 1, "{kind}");
        assert_eq!(length(json!({ "maxNumOfEndpoints": -5 })), 1, "{kind}");
        assert_eq!(
            length(json!({ "maxNumOfEndpoints": 500 })),
            MAX_FALLBACKS,
            "{kind}"
        );
        let misspelt = FACTORIES
            .iter()
            .find(|factory| factory.kind == kind)
            .unwrap();
        assert!(
            (misspelt.build)(&json!({ "maxNumOfEndpoint": 1 })).is_err(),
            "{kind}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_picker_returns_distinct_places(totals in proptest::collection::vec(-2.0f32..9.0, 1..30), seed: u64) {
        for kind in FACTORIES.iter().map(|factory| factory.kind) {
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
