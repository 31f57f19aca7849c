//! The load side against the simulated model server: what one reports the other has counted.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail loudly, its helpers too"
)]

use lab::load::{Pace, Plan, run};
use lab::mix::{Class, Mix};
use lab::report::Report;
use lab::{Api, Target, Wire};
use simulator::{SimConfig, SimHandle, Simulator};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SCALE: f64 = 200.0;

async fn start() -> (Target, SimHandle, CancellationToken) {
    let config = SimConfig {
        time_scale: SCALE,
        adapters: vec!["adapter".into()],
        ..SimConfig::default()
    };
    let simulator = Simulator::new(config).unwrap();
    let (handle, shutdown) = (simulator.handle(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(simulator.serve(listener, shutdown.clone()));
    (target, handle, shutdown)
}

fn class(prefix: u32, question: u32) -> Class {
    Class {
        name: "c".into(),
        weight: 1.0,
        models: vec![SimConfig::default().model.into(), "adapter".into()],
        groups: 4,
        prefix_tokens: prefix,
        question_tokens: question,
        output_tokens: 12,
        skew: 0.0,
    }
}

async fn send(target: &Target, wire: Wire, class: Class, requests: u64) -> Report {
    let shots = Mix {
        classes: vec![class],
        seed: 7,
    }
    .shots()
    .unwrap();
    let pace = Pace::Closed { concurrency: 8 };
    let mut plan = Plan::new(vec![target.clone()], pace, requests, shots);
    plan.wire = wire;
    plan.time_scale = SCALE;
    run(plan, |_| {}).await.unwrap()
}

#[tokio::test]
async fn every_api_is_understood_and_counted_alike() {
    for api in [Api::Chat, Api::Completions, Api::Messages] {
        for stream in [true, false] {
            let (target, handle, shutdown) = start().await;
            let wire = Wire {
                api,
                stream,
                ignore_eos: api != Api::Messages,
            };
            let report = send(&target, wire, class(800, 200), 40).await;
            let total = &report.total;
            assert_eq!(
                (total.requests, total.failed),
                (40, 0),
                "{api:?} {:?}",
                report.errors
            );
            let stats = handle.stats();
            assert_eq!(stats.finished, 40);
            assert_eq!(
                total.output_tokens, stats.generation_tokens,
                "{api:?} {stream}"
            );
            assert_eq!(
                total.cached_tokens,
                Some(stats.cache_hits),
                "{api:?} {stream}"
            );
            // 4 groups share 800 of some 1,000 tokens; at most 8 requests find nothing.
            let rate = total.hit_rate().unwrap();
            assert!((0.5..0.8).contains(&rate), "{api:?} {stream} {rate}");
            assert_eq!(report.pods["sim-0"].requests, 40);
            if stream && api != Api::Messages {
                assert_eq!(total.output_tokens, 40 * 12);
                // Tokens that arrive together with the first one have no gap.
                assert!((1..=40 * 11).contains(&report.itl().count()));
            }
            shutdown.cancel();
        }
    }
}

#[tokio::test]
async fn faults_are_reported_by_cause() {
    use lab::Cause;
    use simulator::Faults;
    let wire = Wire {
        api: Api::Chat,
        stream: true,
        ignore_eos: true,
    };
    let cases = [
        (
            Faults {
                error_rate: 1.0,
                error_status: 503,
                ..Faults::default()
            },
            Cause::Status(503),
        ),
        (
            Faults {
                cut_stream_after: Some(3),
                ..Faults::default()
            },
            Cause::Broken,
        ),
    ];
    for (faults, cause) in cases {
        let (target, handle, _shutdown) = start().await;
        handle.set_faults(faults).unwrap();
        let report = send(&target, wire, class(0, 50), 10).await;
        assert_eq!(report.errors[&cause].count, 10, "{:?}", report.errors);
    }
}

#[tokio::test]
async fn dropping_a_run_leaves_nothing_behind() {
    let (target, handle, _shutdown) = start().await;
    let mut endless = class(0, 50);
    endless.output_tokens = 50_000;
    let wire = Wire {
        api: Api::Chat,
        stream: true,
        ignore_eos: true,
    };
    let run = send(&target, wire, endless, 100);
    let started = async {
        while handle.stats().running < 8 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = run => panic!("50,000 tokens take longer than that"),
        () = started => {}
    }
    while handle.stats().live > 0 {
        tokio::task::yield_now().await;
    }
}
