//! The demo's model servers.

use std::error::Error;
use std::time::Duration;

use resources::EndpointSpec;
use simulator::SimConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::house::House;

pub(crate) const BASE_MODEL: &str = "llama-3.1-8b";
pub(crate) const ADAPTERS: [&str; 6] = [
    "sql-writer",
    "legal-summary",
    "support-de",
    "support-fr",
    "code-review",
    "poet",
];
/// Blocks of 16 tokens: room for about eight of the agents' prompts, so that placement matters.
const KV_BLOCKS: u32 = 3_500;
/// Longest wait for the first reading of all metrics.
const SCRAPE_WAIT: Duration = Duration::from_secs(5);

/// Name and measured GPU row of each server: two fast ones, one middling, one slow.
const SERVERS: [(&str, &str); 4] = [
    ("sim-h100-a", "h100_sxm/llama-3.1-8b/tp1/fp8"),
    ("sim-h100-b", "h100_sxm/llama-3.1-8b/tp1/fp8"),
    ("sim-h100-c", "h100_sxm/llama-3.1-8b/tp1/bfloat16"),
    ("sim-a100", "a100_sxm/llama-3.1-8b/tp1/bfloat16"),
];

/// Running servers.
pub(crate) struct Fleet {
    pub(crate) endpoints: Vec<EndpointSpec>,
}

impl Fleet {
    /// Starts all servers on free loopback ports; they end with `stop`.
    pub(crate) async fn start(stop: &CancellationToken) -> Result<Self, Box<dyn Error>> {
        let mut endpoints = Vec::new();
        for (number, (name, perf)) in SERVERS.into_iter().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .map_err(|error| format!("cannot open a port for {name}: {error}; if file handles ran out, raise the limit with `ulimit -n 4096`"))?;
            endpoints.push(EndpointSpec::parse_flag(&format!(
                "http://{},name={name}",
                listener.local_addr()?
            ))?);
            let config = SimConfig {
                name: name.to_owned(),
                model: BASE_MODEL.to_owned(),
                adapters: ADAPTERS.map(str::to_owned).to_vec(),
                max_loras: 2,
                perf: perf.to_owned(),
                kv_blocks: Some(KV_BLOCKS),
                seed: number as u64,
                ..SimConfig::default()
            };
            let stop = stop.clone();
            tokio::spawn(async move {
                if let Err(error) = simulator::serve(listener, config, stop).await {
                    tracing::error!(%error, "simulated server ended");
                }
            });
        }
        Ok(Self { endpoints })
    }

    /// Waits until every server's metrics and models were read once, at most a few seconds.
    pub(crate) async fn until_scraped(&self, house: &House) {
        let all_known = || {
            house.core.view().pools.values().all(|pool| {
                let set = pool.state.endpoints.current();
                let now = house.core.now();
                set.endpoints.iter().all(|endpoint| {
                    endpoint.signals().view(now).fresh && !endpoint.signals().models().is_empty()
                })
            })
        };
        let wait = async {
            while !all_known() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(SCRAPE_WAIT, wait).await.is_err() {
            tracing::warn!("not all model servers have answered yet");
        }
    }
}
