//! A picker over endpoints whose signals are set from text, behind a real gRPC server on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use extproc::{Picker, PickerOptions};
use lifecycle::{Clock, Core, ErrorStyle, PoolState, ReferenceDialect, Settings, View};
use observe::{Compat, NameSet};
use payload::{Parser, Parsers};
use resources::{ObjectName, Options, Serves, Severity, Source};
use scheduling::{BuildOptions, PrefixIndex, Registry, Scheduler};
use serde_json::Value;
use signals::{Endpoint, EndpointIdentity, EndpointSet, Time};
use tokio::net::TcpListener;
use tonic::transport::Channel;

pub type Client = ExternalProcessorClient<Channel>;

/// Time stands still, so that signals stay fresh.
#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Time {
        Time::from_nanos(5_000_000_000)
    }
}

pub const POOL: &str = "vllm-qwen3-32b-pool";

/// Serves until the returned task is dropped with the runtime.
pub async fn serve(service: impl ExternalProcessor) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(ExternalProcessorServer::new(service))
            .serve_with_incoming(incoming),
    );
    ExternalProcessorClient::connect(format!("http://{address}"))
        .await
        .unwrap()
}

/// What a case gives.
pub struct Given<'c> {
    pub dialect: ReferenceDialect,
    /// Manifests of pool, objectives and rewrites; none in modes without them.
    pub manifests: Option<&'c str>,
    pub pods: &'c [Value],
    /// An `EndpointPickerConfig`.
    pub config: &'c str,
    pub flags: &'c Value,
}

fn pod_manifest(pod: &Value) -> String {
    let labels: Vec<String> = pod["labels"]
        .as_object()
        .map(|labels| {
            labels
                .iter()
                .map(|(key, value)| format!("{key}: {value}"))
                .collect()
        })
        .unwrap_or_default();
    format!(
        "\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {}, namespace: default, labels: {{{}}}}}\n\
         spec: {{containers: [{{name: vllm}}]}}\nstatus: {{podIP: {}, conditions: [{{type: Ready, status: \"{}\"}}]}}\n",
        pod["name"].as_str().unwrap(),
        labels.join(", "),
        pod["ip"].as_str().unwrap(),
        if pod["ready"].as_bool().unwrap_or(true) {
            "True"
        } else {
            "False"
        },
    )
}

fn bare_pool(port: u64) -> String {
    format!(
        "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {{name: {POOL}, namespace: default}}\n\
         spec: {{selector: {{matchLabels: {{app: {POOL}}}}}, targetPorts: [{{number: {port}}}], \
         endpointPickerRef: {{name: epp, port: {{number: 9002}}}}}}\n"
    )
}

/// The picker of a case.
pub fn picker(given: &Given<'_>) -> (Picker, Arc<Compat>) {
    let (picker, core, compat) = build(given);
    // Gauges are read from the core when someone asks.
    std::mem::forget(core);
    (picker, compat)
}

/// A picker with its core, over `count` endpoints that are all alike.
pub fn uniform(count: u8) -> (Picker, Arc<Core>) {
    let pods: Vec<Value> = (1..=count)
        .map(|index| {
            serde_json::json!({
                "name": format!("pod-{index}"), "ip": format!("10.0.0.{index}"), "ready": true,
                "port": 8000, "labels": {"app": POOL},
                "derived_prometheus_text": "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0.1\n",
            })
        })
        .collect();
    let (picker, core, _) = build(&Given {
        dialect: ReferenceDialect::Gie,
        manifests: None,
        pods: &pods,
        config: "{apiVersion: llm-d.ai/v1alpha1, kind: EndpointPickerConfig, plugins: [{type: queue-scorer}]}",
        flags: &Value::Null,
    });
    (picker, core)
}

/// Requests in flight by the ledgers of all endpoints, and requests in the house.
pub fn held(core: &Core) -> (u64, u64) {
    let view = core.view();
    let booked = view
        .pools
        .values()
        .flat_map(|pool| pool.state.endpoints.current().endpoints.clone())
        .map(|endpoint| endpoint.ledger().view().requests)
        .sum();
    (booked, core.requests().used() + core.body_budget().used())
}

fn build(given: &Given<'_>) -> (Picker, Arc<Core>, Arc<Compat>) {
    let port = given.pods.first().and_then(|pod| pod["port"].as_u64());
    let mut text = given
        .manifests
        .map_or_else(|| bare_pool(port.unwrap_or(8000)), str::to_owned);
    for pod in given.pods {
        text.push_str(&pod_manifest(pod));
    }
    let name = ObjectName::new("default", POOL);
    let source = Source {
        path: "case.yaml".into(),
        text,
    };
    let options = Options {
        serves: Serves::Pool(Some(name.clone())),
        ..Options::default()
    };
    let (snapshot, problems) = resources::build(&[source], &options);
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let endpoints = endpoints(&snapshot.pools[&name].endpoints, given.pods);
    let config: Value = serde_saphyr::from_str(given.config).unwrap();
    let state = PoolState {
        endpoints: Arc::new(ArcSwap::from_pointee(EndpointSet {
            generation: 1,
            endpoints,
        })),
        index: Arc::new(PrefixIndex::new(1)),
        scheduler: ArcSwap::from_pointee(scheduler(given.config)),
        detector: ArcSwap::from_pointee(flow::Detector::default()),
    };
    let pools = HashMap::from([(name, Arc::new(state))]);
    let view = View::new(Arc::new(snapshot), &pools, HashMap::new());
    let settings = Settings {
        parsers: Some(parsers(&config, given.dialect)),
        errors: ErrorStyle::Reference(given.dialect),
        all_scores: given.flags["--emit-endpoint-scores"] == true,
        ..Settings::default()
    };
    let compat = Arc::new(Compat::new(match given.dialect {
        ReferenceDialect::Gie => NameSet::Gie,
        ReferenceDialect::LlmD => NameSet::LlmD,
    }));
    let core = Core::new(view, settings, Arc::new(Frozen), compat.clone(), 7);
    let options = PickerOptions {
        follow_picker: true,
        emit_scores: given.flags["--emit-endpoint-scores"] == true,
        ..PickerOptions::default()
    };
    let core = Arc::new(core);
    compat.watch(Arc::downgrade(&core));
    (Picker::new(core.clone(), options), core, compat)
}

fn endpoints(specs: &[resources::EndpointSpec], pods: &[Value]) -> Vec<Arc<Endpoint>> {
    let mut made = Vec::new();
    for (id, spec) in (1..).zip(specs) {
        let address: SocketAddr = format!("{}:{}", spec.host, spec.port).parse().unwrap();
        let endpoint = Endpoint::new(
            id,
            EndpointIdentity {
                name: spec.name.clone(),
                address,
                host: spec.host.clone(),
                https: false,
                labels: spec.labels.clone(),
                rank: spec.rank,
            },
        );
        let pod = pods
            .iter()
            .find(|pod| pod["ip"].as_str() == Some(&spec.host));
        let page = pod.and_then(|pod| pod["derived_prometheus_text"].as_str());
        if let Some(page) = page {
            let scrape = signals::exposition::read(None, page.as_bytes()).unwrap();
            endpoint.signals().apply(&scrape, Frozen.now());
        }
        made.push(Arc::new(endpoint));
    }
    made
}

fn scheduler(config: &str) -> Scheduler {
    let options = BuildOptions {
        allow_experimental: true,
        ..BuildOptions::default()
    };
    let registry = Registry::standard();
    let (scheduler, problems) = Scheduler::read("case.yaml", config, &registry, options, None);
    scheduler.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn parsers(config: &Value, dialect: ReferenceDialect) -> Parsers {
    let single = config["parser"]["pluginRef"].as_str();
    let list = config["requestHandler"]["parsers"].as_array();
    let names: Vec<&str> = match (single, list) {
        (_, Some(list)) => list
            .iter()
            .filter_map(|parser| parser["pluginRef"].as_str())
            .collect(),
        (Some(single), None) => vec![single],
        (None, None) => return Parsers::default(),
    };
    let parsers = names.into_iter().filter_map(Parser::of_kind).collect();
    Parsers::new(parsers, dialect == ReferenceDialect::Gie)
}
