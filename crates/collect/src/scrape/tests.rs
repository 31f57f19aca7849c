use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use signals::EndpointIdentity;

use super::*;
use crate::test_server::{Answer, TestServer};
use crate::{Observer, Scraper};

const VLLM: &str = "# TYPE vllm:num_requests_waiting gauge\n\
    vllm:num_requests_waiting{model_name=\"m\"} 3.0\n\
    vllm:num_requests_running{model_name=\"m\"} 7.0\n\
    vllm:kv_cache_usage_perc{model_name=\"m\"} 0.25\n";
const TRTLLM: &str = "trtllm_num_requests_waiting 4\ntrtllm_num_requests_running 1\n";

fn page(text: &str) -> Answer {
    Answer::Page(200, text.as_bytes().to_vec())
}

fn endpoint(address: SocketAddr) -> Arc<Endpoint> {
    let identity = EndpointIdentity {
        name: "pod".into(),
        address,
        host: "127.0.0.1".into(),
        https: false,
        labels: Arc::default(),
        rank: 0,
    };
    Arc::new(Endpoint::new(1, identity))
}

const NOW: Time = Time(5_000_000_000);

fn follower(address: SocketAddr, change: impl FnOnce(&mut ScrapeOptions)) -> Follower {
    let mut options = ScrapeOptions {
        models_period: None,
        ..ScrapeOptions::default()
    };
    change(&mut options);
    let shared = Arc::new(Shared::new(options, Arc::new(|| NOW)));
    Follower::new(shared, endpoint(address))
}

fn failed(follower: &Follower, cause: ScrapeFailure) -> u64 {
    follower.shared.stats.failed(cause)
}

fn waiting(follower: &Follower) -> u32 {
    follower.endpoint.signals().view(NOW).scraped.waiting
}

#[tokio::test]
async fn pages_reach_the_signals_over_one_connection() {
    let mut server = TestServer::start(|_| page(VLLM)).await;
    let mut follower = follower(server.address, |_| {});
    for _ in 0..3 {
        follower.turn().await;
    }
    let view = follower.endpoint.signals().view(NOW);
    assert_eq!((view.scraped.waiting, view.scraped.running), (3, 7));
    assert_eq!(view.engine, Engine::Vllm);
    assert_eq!(view.age, Some(Duration::ZERO));
    assert_eq!(follower.shared.stats.ok(), 3);
    assert_eq!(follower.shared.stats.bytes(), 3 * VLLM.len() as u64);
    assert_eq!(server.paths(), ["/metrics"; 3]);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_no_failure() {
    let server = TestServer::start(|_| Answer::PageThenClose(200, VLLM.into())).await;
    let mut follower = follower(server.address, |_| {});
    for _ in 0..4 {
        follower.turn().await;
    }
    assert_eq!(follower.shared.stats.ok(), 4);
    assert_eq!(server.connections.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn the_other_path_is_tried_until_metrics_are_found() {
    let metrics: [fn() -> Answer; 2] =
        [|| Answer::Page(404, Vec::new()), || page("[{\"iter\": 1}]")];
    for first in metrics {
        let mut server = TestServer::start(move |path| match path {
            "/prometheus/metrics" => page(TRTLLM),
            _ => first(),
        })
        .await;
        let mut follower = follower(server.address, |_| {});
        follower.turn().await;
        follower.turn().await;
        assert_eq!(
            server.paths(),
            ["/metrics", "/prometheus/metrics", "/prometheus/metrics"]
        );
        assert_eq!(follower.endpoint.signals().engine(), Engine::TrtllmServe);
        assert_eq!(follower.shared.stats.ok(), 2);
    }
}

#[tokio::test]
async fn a_found_path_is_kept_through_failures() {
    let good = Arc::new(AtomicBool::new(true));
    let script = good.clone();
    let mut server = TestServer::start(move |_| {
        if script.load(Ordering::SeqCst) {
            page(VLLM)
        } else {
            Answer::Page(503, b"down".to_vec())
        }
    })
    .await;
    let mut follower = follower(server.address, |_| {});
    follower.turn().await;
    good.store(false, Ordering::SeqCst);
    follower.turn().await;
    assert_eq!(failed(&follower, ScrapeFailure::Status), 1);
    assert_eq!(waiting(&follower), 3, "the last values stay");
    assert_eq!(follower.failing, Some(true));
    good.store(true, Ordering::SeqCst);
    follower.turn().await;
    assert_eq!(follower.failing, Some(false));
    assert_eq!(server.paths(), ["/metrics"; 3]);
}

#[tokio::test]
async fn every_failure_has_its_cause() {
    type Script = fn() -> Answer;
    let cases: [(Script, ScrapeFailure); 4] = [
        (|| Answer::Page(500, Vec::new()), ScrapeFailure::Status),
        (
            || page("process_cpu_seconds 1\n"),
            ScrapeFailure::NotMetrics,
        ),
        (
            || Answer::Page(200, vec![b'#'; 5_000]),
            ScrapeFailure::TooLarge,
        ),
        (|| Answer::Cut, ScrapeFailure::Broken),
    ];
    for (script, cause) in cases {
        let server = TestServer::start(move |_| script()).await;
        let mut follower = follower(server.address, |options| options.body_max = 4_096);
        follower.turn().await;
        assert_eq!(failed(&follower, cause), 1, "{cause}");
        assert_eq!(follower.endpoint.signals().view(NOW).age, None, "{cause}");
    }
}

// Paused time moves on when nothing else can: the time limit passes without anyone waiting.
#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_time_limit() {
    let server = TestServer::start(|_| Answer::Silence).await;
    let mut follower = follower(server.address, |_| {});
    follower.turn().await;
    assert_eq!(failed(&follower, ScrapeFailure::Timeout), 1);
}

#[tokio::test]
async fn a_refused_connection_makes_suspect_and_an_answer_clears() {
    let server = TestServer::start(|_| page(VLLM)).await;
    let address = server.address;
    // Bound and not listening: refuses, and nobody else can get the port meanwhile.
    let refusing = tokio::net::TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = refusing.local_addr().unwrap();
    let mut follower = follower(gone, |_| {});
    follower.turn().await;
    assert_eq!(failed(&follower, ScrapeFailure::Connect), 1);
    assert!(follower.endpoint.health().is_suspect(NOW));

    // The same endpoint comes up: here by pointing its connection at a live server.
    follower.connection = Connection::new(endpoint(address).identity(), None, None);
    follower.turn().await;
    assert!(!follower.endpoint.health().is_suspect(NOW));
}

#[tokio::test]
async fn a_scrape_does_not_clear_what_requests_found() {
    let server = TestServer::start(|_| page(VLLM)).await;
    let mut follower = follower(server.address, |_| {});
    follower.endpoint.health().note_connect_failure(NOW);
    follower.turn().await;
    assert!(follower.endpoint.health().is_suspect(NOW));
}

#[tokio::test]
async fn model_lists_are_asked_for_now_and_then() {
    let mut server = TestServer::start(|path| match path {
        "/v1/models" => page(r#"{"data":[{"id":"base"},{"id":"adapter"}]}"#),
        _ => page(VLLM),
    })
    .await;
    let hour = Some(Duration::from_secs(3_600));
    let mut follower = follower(server.address, |options| options.models_period = hour);
    follower.turn().await;
    follower.turn().await;
    let names: Vec<String> = follower
        .endpoint
        .signals()
        .models()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["base", "adapter"]);
    assert_eq!(server.paths(), ["/metrics", "/v1/models", "/metrics"]);
}

#[tokio::test]
async fn pauses_grow_with_failures_and_jitter_around_the_period() {
    let mut follower = follower("127.0.0.1:1".parse().unwrap(), |_| {});
    let around = |pause: Duration, ms: f64| {
        let factor = pause.as_secs_f64() * 1e3 / ms;
        (0.9..=1.1).contains(&factor)
    };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let pause = follower.pause();
        assert!(around(pause, 200.0), "{pause:?}");
        seen.insert(pause);
    }
    assert!(seen.len() > 50, "pauses vary");
    for (failures, ms) in [
        (1, 200.0),
        (2, 400.0),
        (4, 1_600.0),
        (6, 5_000.0),
        (u32::MAX, 5_000.0),
    ] {
        follower.failures = failures;
        let pause = follower.pause();
        assert!(around(pause, ms), "{failures}: {pause:?}");
    }
}

#[tokio::test]
async fn an_engine_label_is_a_hint() {
    let identity = EndpointIdentity {
        labels: Arc::new([("llm-d.ai/engine-type".to_owned(), "sglang".to_owned())].into()),
        ..endpoint("127.0.0.1:1".parse().unwrap()).identity().clone()
    };
    let shared = Arc::new(Shared::new(ScrapeOptions::default(), Arc::new(|| NOW)));
    let follower = Follower::new(shared, Arc::new(Endpoint::new(1, identity)));
    assert_eq!(follower.hint, Some(Engine::Sglang));
}

#[tokio::test]
async fn a_removed_endpoint_is_left_alone() {
    let mut server = TestServer::start(|_| page(VLLM)).await;
    let options = ScrapeOptions {
        period: Duration::from_millis(1),
        models_period: None,
        ..ScrapeOptions::default()
    };
    let runtime = tokio::runtime::Handle::current();
    let scraper = Scraper::new(options, Arc::new(|| NOW), runtime);
    let endpoint = endpoint(server.address);
    scraper.added(&endpoint);
    assert_eq!(scraper.stats().following(), 1);
    for _ in 0..3 {
        server.asked.recv().await.unwrap();
    }
    scraper.removed(&endpoint);
    assert_eq!(scraper.stats().following(), 0);
    server.closed.recv().await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn dropping_the_scraper_ends_its_tasks() {
    let mut server = TestServer::start(|_| page(VLLM)).await;
    let runtime = tokio::runtime::Handle::current();
    let scraper = Scraper::new(ScrapeOptions::default(), Arc::new(|| NOW), runtime);
    scraper.added(&endpoint(server.address));
    server.asked.recv().await.unwrap();
    drop(scraper);
    server.closed.recv().await.unwrap();
}
