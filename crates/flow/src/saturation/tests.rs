use signals::{EndpointIdentity, Ledger, Load, Reservation, Scrape};

use super::*;

fn endpoint(id: u32) -> Arc<Endpoint> {
    let identity = EndpointIdentity {
        name: format!("pod-{id}").into(),
        address: ([10, 0, 0, id as u8], 8000).into(),
        host: "pod".into(),
        https: false,
        labels: Arc::default(),
        rank: 0,
    };
    Arc::new(Endpoint::new(id, identity))
}

fn scraped(waiting: u32, kv_usage: f32, at: Time) -> Arc<Endpoint> {
    let endpoint = endpoint(0);
    let scrape = Scrape {
        waiting: Some(waiting),
        kv_usage: Some(kv_usage),
        ..Scrape::default()
    };
    endpoint.signals().apply(&scrape, at);
    endpoint
}

fn busy(id: u32, requests: usize, tokens: u64) -> (Arc<Endpoint>, Vec<Reservation>) {
    let endpoint = endpoint(id);
    let load = Load {
        prefill_tokens: tokens,
        ..Load::default()
    };
    let held = (0..requests).map(|_| Ledger::reserve(&endpoint, load, Time(1)));
    let held = held.collect();
    (endpoint, held)
}

#[test]
fn by_gauges_the_fuller_of_queue_and_kv_counts_and_old_ones_are_full() {
    let now = Time::from_secs_f64(100.0);
    let fresh = |waiting, kv| scraped(waiting, kv, Time::from_secs_f64(99.95));
    let detector = Detector::Utilization(Thresholds {
        queue_depth: 5,
        kv_usage: 0.9,
        stale_after: Duration::from_millis(100),
    });
    let saturation = |endpoints: &[Arc<Endpoint>]| detector.saturation(endpoints, now);
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-6, "{got} is not {want}");
    near(saturation(&[]), 1.0);
    near(saturation(&[fresh(5, 0.1)]), 1.0);
    near(saturation(&[fresh(1, 0.45)]), 0.5);
    near(saturation(&[fresh(1, 0.1), fresh(15, 0.2)]), 1.6);
    near(
        saturation(&[scraped(0, 0.0, Time::from_secs_f64(99.8))]),
        1.0,
    );
    near(saturation(&[endpoint(1)]), 1.0);
}

#[test]
fn by_requests_tokens_or_both() {
    let (a, _held) = busy(1, 15, 0);
    let (b, _more) = busy(2, 5, 20);
    let saturation = |requests, tokens, endpoints: &[Arc<Endpoint>]| {
        Detector::Concurrency(Limits { requests, tokens }).saturation(endpoints, Time(1))
    };
    let both = [a, b];
    assert_eq!(saturation(Some(10), None, &both), 1.0);
    assert_eq!(saturation(None, Some(100), &both), 0.5);
    assert_eq!(saturation(Some(10), Some(100), &both), 1.25);
    assert_eq!(saturation(Some(0), None, &both), 1.0);
    assert_eq!(saturation(Some(10), None, &[]), 1.0);
}
