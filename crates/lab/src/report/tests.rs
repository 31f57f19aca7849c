use super::*;
use crate::load::Pace;
use crate::outcome::Failure;
use crate::{Shot, Target};

fn outcome(index: u64, target: usize, ttft_ms: u64) -> Outcome {
    Outcome {
        index,
        class: if index.is_multiple_of(2) {
            "even".into()
        } else {
            "odd".into()
        },
        model: "m".into(),
        target,
        scheduled: Duration::ZERO,
        lag: Duration::ZERO,
        ttft: Some(Duration::from_millis(ttft_ms)),
        tpot: Some(Duration::from_millis(2)),
        e2e: Duration::from_millis(ttft_ms * 2),
        status: Some(200),
        prompt_tokens: Some(100),
        cached_tokens: Some(25),
        output_tokens: Some(10),
        pod: Some(format!("pod-{target}").into()),
        failure: None,
    }
}

fn report(outcomes: impl IntoIterator<Item = Outcome>) -> Report {
    let targets = ["http://gateway", "http://direct"].map(|url| Target::parse(url).unwrap());
    let mut plan = Plan::new(
        targets.into(),
        Pace::Scheduled,
        0,
        std::iter::empty::<Shot>(),
    );
    plan.time_scale = 10.0;
    plan.assign = Assign::Pairs { seed: 0 };
    let mut report = Report::new(&plan);
    outcomes.into_iter().for_each(|outcome| report.add(outcome));
    report.wall = Duration::from_secs(2);
    report
}

#[test]
fn figures_are_in_trace_time() {
    let summary = Summary::of(&report((0..10).map(|n| outcome(n, 0, 50))), "t");
    let median = summary.total.ttft.p50_ms;
    assert!(
        (median / 500.0 - 1.0).abs() < 0.001,
        "50 ms at scale 10: {median}"
    );
    assert_eq!(
        summary.total.requests_per_s, 0.5,
        "10 requests in 20 s of trace time"
    );
    assert_eq!(summary.total.output_tokens_per_s, 5.0);
    assert_eq!(summary.total.hit_rate, Some(0.25));
    assert_eq!((summary.wall_s, summary.time_scale), (2.0, 10.0));
}

#[test]
fn added_latency_is_the_first_target_over_the_second_in_real_time() {
    // The gateway is 3 ms slower in each pair, whatever the order and however the pairs drift.
    let pairs = (0..50).flat_map(|pair| {
        let base = 10 + pair;
        let (first, second) = (
            outcome(pair * 2, 0, base + 3),
            outcome(pair * 2 + 1, 1, base),
        );
        let swapped = pair % 2 == 1;
        let order = |a: Outcome, b: Outcome| if swapped { [b, a] } else { [a, b] };
        order(first, second)
    });
    let report = report(pairs);
    let differences = summary::paired_ttft(&report);
    assert!(
        differences.iter().all(|ms| (ms - 3.0).abs() < 1e-6),
        "{differences:?}"
    );
    let added = Summary::of(&report, "t").added.unwrap();
    assert_eq!(added.pairs, 50);
    assert!(
        (added.ttft_paired_median_ms - 3.0).abs() < 0.01,
        "{added:?}"
    );
    assert!((added.ttft_p50_ms - 3.0).abs() < 0.1, "{added:?}");
    assert!((added.e2e_p50_ms - 6.0).abs() < 0.2, "{added:?}");
}

#[test]
fn failed_requests_count_in_no_distribution() {
    let mut failed = outcome(1, 0, 5);
    failed.failure = Some(Failure::new(Cause::Status(503), "no\nroom"));
    let report = report([outcome(0, 0, 5), failed]);
    assert_eq!(
        (
            report.total.requests,
            report.total.failed,
            report.total.e2e.count()
        ),
        (2, 1, 1)
    );
    let error = &report.errors[&Cause::Status(503)];
    assert_eq!((error.count, error.example.as_str()), (1, "no room"));
    assert_eq!(Summary::of(&report, "t").added.unwrap().pairs, 0);
}

#[test]
fn names_from_the_network_are_bounded() {
    let report = report((0..2_000).map(|n| Outcome {
        pod: Some(format!("pod-{n}").into()),
        ..outcome(n, 0, 1)
    }));
    assert_eq!(report.pods.len(), PODS_MAX + 1);
    assert_eq!(report.pods[OTHER_PODS].requests, 2_000 - PODS_MAX as u64);
}

#[test]
fn a_late_generator_is_said() {
    let late = |lag_ms| {
        let lag = Duration::from_millis(lag_ms);
        let outcomes = (0..100).map(|n| Outcome {
            lag,
            ..outcome(n, 0, 50)
        });
        Summary::of(&report(outcomes), "t").warnings.join("\n")
    };
    assert_eq!(late(4), "");
    assert!(late(20).contains("late"), "{}", late(20));
}

#[test]
fn the_text_names_what_matters() {
    let mut failed = outcome(3, 1, 5);
    failed.failure = Some(Failure::new(Cause::Status(429), "slow down"));
    let outcomes = [
        outcome(0, 0, 30),
        outcome(1, 1, 20),
        outcome(2, 0, 30),
        failed,
    ];
    let text = Summary::of(&report(outcomes), "replay of x").to_string();
    for part in [
        "replay of x: 4 requests, 1 failed, 2.0 s = 20 s of trace time (scale 10",
        "cache hits  25.0 % of 300 prompt tokens",
        "status 429             1  first: slow down",
        "http://gateway",
        "pod-0",
        "added by http://gateway over http://direct (1 pairs, real time)",
        "even",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn files_come_back_as_they_were_and_compare() {
    let path = std::env::temp_dir().join(format!("plimsoll-summary-{}.json", std::process::id()));
    let slow = Summary::of(&report((0..4).map(|n| outcome(n, 0, 40))), "slow");
    slow.write(&path).unwrap();
    let read = Summary::read(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read.unwrap(), slow);
    let fast = Summary::of(&report((0..4).map(|n| outcome(n, 0, 20))), "fast");
    let text = fast.against(&slow);
    assert!(
        text.contains("-50.0 %") && text.contains("the other: slow"),
        "{text}"
    );
}
