use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::*;
use crate::outcome::Cause;
use crate::test_server::{Answer, TestServer, chat};
use crate::text::Span;
use crate::wire::{Api, Prompt};

fn shots(classes: &'static [&'static str]) -> impl Iterator<Item = Shot> + Send {
    (0_u64..).map(move |number| Shot {
        at: Duration::ZERO,
        class: classes[usize::try_from(number).unwrap() % classes.len()].into(),
        model: "m".into(),
        prompt: Prompt {
            system: vec![],
            user: vec![Span {
                id: number,
                tokens: 3,
            }],
        },
        max_tokens: 4,
    })
}

fn plan(servers: &[&TestServer], pace: Pace, requests: u64) -> Plan {
    Plan::new(
        servers.iter().map(|server| server.target()).collect(),
        pace,
        requests,
        shots(&["a", "b"]),
    )
}

async fn finish(plan: Plan) -> Report {
    run(plan, |_| {}).await.unwrap()
}

const CLOSED: Pace = Pace::Closed { concurrency: 4 };

#[tokio::test]
async fn a_closed_loop_measures_every_request_over_few_connections() {
    let mut server = TestServer::start(|_, _| Answer::Stream(chat(5, 100, Some(60)))).await;
    let mut last = None;
    let report = run(plan(&[&server], CLOSED, 40), |live| last = Some(*live))
        .await
        .unwrap();
    let total = &report.total;
    assert_eq!((total.requests, total.failed), (40, 0));
    assert_eq!(
        (
            total.prompt_tokens,
            total.cached_tokens,
            total.output_tokens
        ),
        (4_000, Some(2_400), 200)
    );
    assert_eq!(total.hit_rate(), Some(0.6));
    assert_eq!(
        (total.ttft.count(), total.tpot.count(), total.e2e.count()),
        (40, 40, 40)
    );
    assert_eq!(
        report.itl().count(),
        40 * 4,
        "a gap between each two of five tokens"
    );
    assert_eq!(report.classes["a"].requests, 20);
    assert_eq!(report.pods["pod-a"].requests, 40);
    assert!(server.connections.load(Ordering::SeqCst) <= 4);
    let live = last.unwrap();
    assert_eq!((live.ended, live.requests, live.in_flight), (40, 40, 0));

    let asked = server.requests();
    assert_eq!(asked.len(), 40);
    assert!(
        asked[0]
            .head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n")
    );
    let numbers: std::collections::BTreeSet<&str> = asked.iter().map(|a| a.body.as_str()).collect();
    assert_eq!(numbers.len(), 40, "every shot is sent once");
    assert!(!report.interrupted);
}

#[tokio::test]
async fn open_loops_send_everything() {
    for pace in [
        Pace::Scheduled,
        Pace::Poisson {
            per_second: 10_000.0,
            seed: 1,
        },
    ] {
        let server = TestServer::start(|_, _| Answer::Stream(chat(1, 10, None))).await;
        let report = finish(plan(&[&server], pace, 30)).await;
        assert_eq!(
            (report.total.requests, report.total.failed),
            (30, 0),
            "{pace:?}"
        );
        assert_eq!(
            report.total.hit_rate(),
            None,
            "nothing was said about the cache"
        );
        assert_eq!(report.lag.count(), 30);
    }
}

#[tokio::test]
async fn latency_counts_from_the_scheduled_time() {
    let server = TestServer::start(|_, _| Answer::Stream(chat(1, 10, None))).await;
    let mut plan = plan(&[&server], Pace::Scheduled, 10);
    plan.max_in_flight = 1;
    let outcomes = finish(plan).await.outcomes;
    // All were due at zero and went one after the other: each waited for all before it.
    for pair in outcomes.windows(2) {
        assert_eq!(pair[1].scheduled, Duration::ZERO);
        assert!(pair[1].lag >= pair[0].e2e, "{pair:?}");
        assert!(pair[1].ttft.unwrap() >= pair[1].lag);
    }
}

#[tokio::test]
async fn round_robin_and_pairs_spread_requests() {
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(TestServer::start(|_, _| Answer::Stream(chat(1, 10, None))).await);
    }
    let both: Vec<&TestServer> = servers.iter().collect();
    for assign in [Assign::RoundRobin, Assign::Pairs { seed: 5 }] {
        let mut plan = plan(&both, CLOSED, 60);
        plan.assign = assign;
        let report = finish(plan).await;
        let requests: Vec<u64> = report
            .targets
            .iter()
            .map(|(_, tally, _)| tally.requests)
            .collect();
        assert_eq!(requests, [30, 30], "{assign:?}");
        let mut firsts = BTreeMap::new();
        let mut pairs: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for outcome in &report.outcomes {
            pairs
                .entry(outcome.index / 2)
                .or_default()
                .push(outcome.target);
            if outcome.index % 2 == 0 {
                *firsts.entry(outcome.target).or_insert(0) += 1;
            }
        }
        assert!(
            pairs.values().all(|pair| pair.iter().sum::<usize>() == 1),
            "one of each"
        );
        let mixed = matches!(assign, Assign::Pairs { .. });
        assert_eq!(
            firsts.len() == 2,
            mixed,
            "pairs come in both orders: {firsts:?}"
        );
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    type Script = fn() -> Answer;
    let error = || {
        Answer::Whole(
            429,
            r#"{"error":{"message":"slow down","code":"x"}}"#.to_owned(),
        )
    };
    let without_end = || {
        let mut events = chat(2, 10, None);
        events.pop();
        events
    };
    let cases: [(Script, Cause, &str); 6] = [
        (error, Cause::Status(429), "slow down"),
        (
            || Answer::Whole(502, "<html>".to_owned()),
            Cause::Status(502),
            "no reason in the body",
        ),
        (|| Answer::Nothing, Cause::NoResponse, ""),
        (
            || Answer::BrokenStream(chat(2, 10, None)[..2].to_vec()),
            Cause::Broken,
            "",
        ),
        (
            || {
                Answer::Stream(vec![
                    "data: {\"error\":{\"message\":\"m\",\"code\":500}}\n\n".into(),
                    "data: [DONE]\n\n".into(),
                ])
            },
            Cause::ErrorEvent,
            "the server sent an error",
        ),
        (
            || Answer::Stream(vec!["data: [DONE]\n\n".into()]),
            Cause::Empty,
            "",
        ),
    ];
    for (script, cause, detail) in cases {
        let server = TestServer::start(move |_, _| script()).await;
        let report = finish(plan(&[&server], CLOSED, 3)).await;
        assert_eq!(
            (report.total.requests, report.total.failed),
            (3, 3),
            "{cause}"
        );
        let causes: Vec<&Cause> = report.errors.keys().collect();
        assert_eq!(causes, [&cause]);
        assert_eq!(report.errors[&cause].count, 3);
        assert!(
            report.errors[&cause].example.contains(detail),
            "{:?}",
            report.errors
        );
    }
    let server = TestServer::start(move |_, _| Answer::Stream(without_end())).await;
    let report = finish(plan(&[&server], CLOSED, 1)).await;
    assert!(
        report.errors.contains_key(&Cause::NoEnd),
        "{:?}",
        report.errors
    );
    assert!(
        report.outcomes[0].ttft.is_some(),
        "what was seen before the failure is kept"
    );
    assert_eq!(
        report.total.ttft.count(),
        0,
        "but distributions hold successes only"
    );
}

#[tokio::test]
async fn refused_connections_and_time_limits_are_told_apart() {
    let refusing = tokio::net::TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", refusing.local_addr().unwrap());
    let targets = vec![Target::parse(&url).unwrap()];
    let report = finish(Plan::new(targets, CLOSED, 2, shots(&["a"]))).await;
    assert_eq!(report.errors[&Cause::Connect].count, 2);

    let server = TestServer::start(|_, _| Answer::Silence).await;
    let mut plan = plan(&[&server], CLOSED, 2);
    plan.timeout = Duration::from_millis(5);
    assert_eq!(finish(plan).await.errors[&Cause::Timeout].count, 2);
}

#[tokio::test]
async fn a_cancelled_run_ends_with_what_it_has() {
    for pace in [CLOSED, Pace::Scheduled] {
        let mut server = TestServer::start(|number, _| {
            if number == 0 {
                Answer::Stream(chat(1, 10, None))
            } else {
                Answer::Silence
            }
        })
        .await;
        let plan = plan(&[&server], pace, 1_000);
        let cancel = plan.cancel.clone();
        let running = tokio::spawn(run(plan, |_| {}));
        for _ in 0..4 {
            server.asked.recv().await.unwrap();
        }
        cancel.cancel();
        let report = running.await.unwrap().unwrap();
        assert!(report.interrupted);
        assert!(report.errors[&Cause::Interrupted].count >= 3);
        assert!(report.total.requests - report.total.failed <= 1, "{pace:?}");
    }
}

#[tokio::test]
async fn a_duration_ends_endless_shots() {
    for pace in [
        CLOSED,
        Pace::Poisson {
            per_second: 1_000.0,
            seed: 1,
        },
    ] {
        let server = TestServer::start(|_, _| Answer::Stream(chat(1, 10, None))).await;
        let mut plan = plan(&[&server], pace, u64::MAX);
        plan.duration = Some(Duration::from_millis(20));
        let report = finish(plan).await;
        assert!(!report.interrupted && report.total.failed == 0, "{pace:?}");
    }
}

#[tokio::test]
async fn unstreamed_answers_and_kept_outcomes() {
    let body = r#"{"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    let mut server = TestServer::start(move |_, _| Answer::Whole(200, body.to_owned())).await;
    let mut plan = plan(&[&server], CLOSED, 10);
    plan.wire = Wire {
        api: Api::Completions,
        stream: false,
        ignore_eos: false,
    };
    plan.headers.insert("x-extra", "1".parse().unwrap());
    plan.keep_outcomes = 3;
    let report = finish(plan).await;
    assert_eq!((report.total.requests, report.total.failed), (10, 0));
    assert_eq!(report.total.cached_tokens, Some(40));
    assert_eq!(report.outcomes.len(), 3);
    let asked = server.requests();
    assert!(asked[0].head.starts_with("POST /v1/completions "));
    assert!(asked[0].head.contains("\r\nx-extra: 1\r\n"));
}

#[tokio::test]
async fn impossible_plans_are_refused() {
    let server = TestServer::start(|_, _| Answer::Silence).await;
    let broken: [fn(&mut Plan); 6] = [
        |plan| plan.targets.clear(),
        |plan| plan.max_in_flight = 0,
        |plan| plan.time_scale = 0.0,
        |plan| plan.pace = Pace::Closed { concurrency: 0 },
        |plan| {
            plan.pace = Pace::Poisson {
                per_second: f64::NAN,
                seed: 0,
            }
        },
        |plan| plan.assign = Assign::Pairs { seed: 0 },
    ];
    for breaking in broken {
        let mut plan = plan(&[&server], CLOSED, 1);
        breaking(&mut plan);
        assert!(matches!(run(plan, |_| {}).await, Err(LabError::Plan(_))));
    }
}
