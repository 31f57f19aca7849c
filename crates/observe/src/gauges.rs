//! Gauges, read from the running house when someone scrapes.

use std::fmt;
use std::sync::Weak;

use lifecycle::Core;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use signals::Endpoint;

/// Facts about the configuration that the core does not hold.
pub trait ConfigGauges: Send + Sync {
    /// Number of the configuration in force.
    fn generation(&self) -> u64;
    /// Changes that were refused since the start.
    fn refused(&self) -> u64;
    /// Connections and listening ports alive.
    fn connections(&self) -> usize;
}

/// Reads gauges from a core.
pub struct Gauges {
    core: Weak<Core>,
    config: Box<dyn ConfigGauges>,
}

impl Gauges {
    /// Gauges of `core`; they vanish with it.
    #[must_use]
    pub fn new(core: Weak<Core>, config: Box<dyn ConfigGauges>) -> Self {
        Self { core, config }
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

/// One gauge per endpoint: name, help, and how it is read.
type EndpointGauge = (
    &'static str,
    &'static str,
    fn(&Endpoint, signals::Time) -> Option<f64>,
);

/// The gauges as last scraped; none before the first scrape.
fn scraped(endpoint: &Endpoint, now: signals::Time) -> Option<signals::Gauges> {
    let signals = endpoint.signals().view(now);
    signals.age.map(|_| signals.scraped)
}

const ENDPOINT_GAUGES: [EndpointGauge; 9] = [
    (
        "endpoint_waiting_requests",
        "Requests waiting at the model server, as scraped",
        |endpoint, now| scraped(endpoint, now).map(|gauges| f64::from(gauges.waiting)),
    ),
    (
        "endpoint_running_requests",
        "Requests running at the model server, as scraped",
        |endpoint, now| scraped(endpoint, now).map(|gauges| f64::from(gauges.running)),
    ),
    (
        "endpoint_kv_usage_ratio",
        "Share of KV blocks in use, as scraped",
        |endpoint, now| scraped(endpoint, now).map(|gauges| f64::from(gauges.kv_usage)),
    ),
    (
        "endpoint_signal_age_seconds",
        "Age of the scraped signals",
        |endpoint, now| {
            endpoint
                .signals()
                .view(now)
                .age
                .map(|age| age.as_secs_f64())
        },
    ),
    (
        "endpoint_inflight_requests",
        "Requests this gateway has under way at the endpoint",
        |endpoint, _| Some(endpoint.ledger().view().requests as f64),
    ),
    (
        "endpoint_inflight_before_first_token",
        "Of those, requests without a first token yet",
        |endpoint, _| Some(endpoint.ledger().view().before_first_token as f64),
    ),
    (
        "endpoint_inflight_prefill_tokens",
        "Uncached prompt tokens sent and not yet answered by a first token",
        |endpoint, _| Some(endpoint.ledger().view().prefill_tokens as f64),
    ),
    (
        "endpoint_suspect",
        "1 while the endpoint is avoided after a failed connection",
        |endpoint, now| Some(f64::from(u8::from(endpoint.health().is_suspect(now)))),
    ),
    (
        "endpoint_sleeping",
        "1 while the engine has put its weights away",
        |endpoint, _| Some(f64::from(u8::from(endpoint.signals().is_sleeping()))),
    ),
];

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn encode_process(
    core: &Core,
    config: &dyn ConfigGauges,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let (held, capacity) = core.decisions().fill();
    for (name, help, value) in [
        (
            "requests_inflight",
            "Requests in the house",
            core.requests().used(),
        ),
        (
            "requests_limit",
            "Most requests that may be in the house",
            core.requests().limit(),
        ),
        (
            "body_budget_used_bytes",
            "Bytes of request bodies held in memory",
            core.body_budget().used(),
        ),
        (
            "body_budget_limit_bytes",
            "Most bytes of request bodies that may be held",
            core.body_budget().limit(),
        ),
        (
            "request_body_limit_bytes",
            "Largest request body that is read",
            core.settings().body_bytes_max,
        ),
        (
            "decisions_held",
            "Decision records kept for /debug/decisions",
            held as u64,
        ),
        (
            "decisions_limit",
            "Most decision records kept",
            capacity as u64,
        ),
        (
            "config_generation",
            "Number of the configuration in force",
            config.generation(),
        ),
        (
            "connections_open",
            "Client connections and listening ports alive",
            config.connections() as u64,
        ),
    ] {
        gauge(encoder, name, help, value as f64)?;
    }
    let refused = ConstCounter::new(config.refused());
    let metric = encoder.encode_descriptor(
        "config_refused",
        "Configuration changes refused since the start",
        None,
        MetricType::Counter,
    )?;
    refused.encode(metric)
}

fn encode_pools(core: &Core, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    type PoolGauge = (&'static str, &'static str, fn(&lifecycle::PoolView) -> f64);
    const POOL_GAUGES: [PoolGauge; 4] = [
        (
            "pool_ready_endpoints",
            "Endpoints that may be picked",
            |pool| pool.state.endpoints.current().endpoints.len() as f64,
        ),
        (
            "pool_not_ready_endpoints",
            "Endpoints selected by the pool that are not ready",
            |pool| pool.resource.not_ready as f64,
        ),
        (
            "prefix_index_entries",
            "Block and endpoint pairs in the prefix index",
            |pool| pool.state.index.len() as f64,
        ),
        ("prefix_index_bytes", "Memory of the prefix index", |pool| {
            pool.state.index.bytes() as f64
        }),
    ];
    let view = core.view();
    for (name, help, read) in POOL_GAUGES {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (pool, state) in &view.pools {
            let labels = [("pool", pool.to_string())];
            ConstGauge::new(read(state)).encode(metric.encode_family(&labels)?)?;
        }
    }
    for (name, help, read) in ENDPOINT_GAUGES {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (pool, state) in &view.pools {
            for endpoint in &state.state.endpoints.current().endpoints {
                let Some(value) = read(endpoint, core.now()) else {
                    continue;
                };
                let labels = [
                    ("pool", pool.to_string()),
                    ("endpoint", endpoint.name().to_string()),
                ];
                ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(core) = self.core.upgrade() else {
            return Ok(());
        };
        encode_process(&core, self.config.as_ref(), &mut encoder)?;
        encode_pools(&core, &mut encoder)
    }
}
