//! A lifecycle over two endpoints on a virtual clock.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, shared by several test binaries, each using a part"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use lifecycle::{
    Clock, Core, Dispatch, Door, Ending, Finished, Observer, Observing, PoolState, Reading,
    Received, Record, Reply, ServiceState, Settings, Step, View,
};
use resources::{BackendTarget, Options, Severity, Source};
use scheduling::{PrefixIndex, Scheduler};
use signals::{Endpoint, EndpointIdentity, EndpointSet, Time};

#[derive(Debug)]
pub struct VirtualClock(AtomicU64);

impl VirtualClock {
    pub fn advance(&self, by: Duration) {
        self.0
            .fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        Time::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
pub struct Log {
    pub endings: Mutex<Vec<Ending>>,
}

impl Observer for Log {
    fn decided(&self, _: &Record) {}
    fn finished(&self, finished: &Finished<'_>) {
        self.endings.lock().unwrap().push(finished.outcome.ending);
    }
}

pub struct House {
    pub core: Arc<Core>,
    pub clock: Arc<VirtualClock>,
    pub log: Arc<Log>,
    pub endpoints: Vec<Arc<Endpoint>>,
}

pub const POOL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: plimsoll
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: chat, namespace: default}
spec:
  selector: {matchLabels: {app: vllm}}
  targetPorts: [{number: 8000}]
  endpointPickerRef: {name: picker, port: {number: 9002}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: default, labels: {app: vllm}}
spec: {containers: [{name: vllm}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: default, labels: {app: vllm}}
spec: {containers: [{name: vllm}]}
status: {podIP: 10.0.0.2}
";

pub const CATCH_ALL: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: chat}]
";

pub fn house(manifests: &[&str], settings: Settings) -> House {
    let source = Source {
        path: "test.yaml".into(),
        text: manifests.concat(),
    };
    let options = Options {
        default_listen_port: 80,
        endpoints: Vec::new(),
        ..Options::default()
    };
    let (snapshot, problems) = resources::build(&[source], &options);
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let snapshot = Arc::new(snapshot);

    let mut endpoints = Vec::new();
    let mut ids = 0;
    let mut set = |specs: &[resources::EndpointSpec]| {
        let made: Vec<_> = specs
            .iter()
            .map(|spec| {
                let address: SocketAddr = format!("{}:{}", spec.host, spec.port).parse().unwrap();
                let identity = EndpointIdentity {
                    name: spec.name.clone(),
                    address,
                    host: spec.host.clone(),
                    https: false,
                    labels: spec.labels.clone(),
                    rank: spec.rank,
                };
                ids += 1;
                Arc::new(Endpoint::new(ids, identity))
            })
            .collect();
        endpoints.extend(made.iter().cloned());
        Arc::new(ArcSwap::from_pointee(EndpointSet {
            generation: 1,
            endpoints: made,
        }))
    };
    let mut pools = HashMap::new();
    for (name, pool) in &snapshot.pools {
        let state = PoolState {
            endpoints: set(&pool.endpoints),
            index: Arc::new(PrefixIndex::new(1)),
            scheduler: ArcSwap::from_pointee(Scheduler::standard()),
            detector: ArcSwap::from_pointee(flow::Detector::default()),
        };
        pools.insert(name.clone(), Arc::new(state));
    }
    let mut services = HashMap::new();
    for attached in snapshot
        .listeners
        .iter()
        .flat_map(|listener| &listener.routes)
    {
        for backend in attached.route.rules.iter().flat_map(|rule| &rule.backends) {
            if let BackendTarget::Service(service) = &backend.target {
                let state = ServiceState::new(set(&service.endpoints));
                services.insert((service.name.clone(), service.port), Arc::new(state));
            }
        }
    }
    let clock = Arc::new(VirtualClock(AtomicU64::new(1_000_000_000)));
    let log = Arc::new(Log::default());
    let view = View::new(snapshot, &pools, services);
    let core = Arc::new(Core::new(view, settings, clock.clone(), log.clone(), 7));
    House {
        core,
        clock,
        log,
        endpoints,
    }
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "a.example");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

pub fn door() -> Door {
    Door {
        port: 80,
        ..Door::default()
    }
}

impl House {
    pub fn receive(&self, parts: Parts, has_body: bool) -> Step {
        match Received::new(&self.core, door(), parts) {
            Ok(received) => received.proceed(has_body),
            Err(reply) => Step::Reply(*reply),
        }
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Step {
        let mut reading = match self.receive(request("POST", path, headers), true) {
            Step::Read(reading) => reading,
            other => return other,
        };
        // In two pieces, because bodies arrive in pieces.
        let (first, second) = body.split_at(body.len() / 2);
        for piece in [first, second] {
            if let Err(refusal) = reading.feed(Bytes::copy_from_slice(piece.as_bytes())) {
                return Step::Reply(reading.refuse(&refusal));
            }
        }
        reading.finish()
    }

    pub fn in_flight(&self) -> u64 {
        self.endpoints
            .iter()
            .map(|endpoint| endpoint.ledger().view().requests)
            .sum()
    }

    pub fn endings(&self) -> Vec<Ending> {
        self.log.endings.lock().unwrap().clone()
    }
}

pub fn chat(model: &str, content: &str) -> String {
    format!(
        r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"{content}"}}]}}"#
    )
}

#[track_caller]
pub fn reading(step: Step) -> Reading {
    match step {
        Step::Read(reading) => reading,
        Step::Reply(reply) => panic!("answered {} {:?}", reply.status, reply.body),
        Step::Send(_) => panic!("sent without reading"),
    }
}

#[track_caller]
pub fn sent(step: Step) -> Box<Dispatch> {
    match step {
        Step::Send(dispatch) => dispatch,
        Step::Reply(reply) => panic!("answered {} {:?}", reply.status, reply.body),
        Step::Read(_) => panic!("wants the body"),
    }
}

#[track_caller]
pub fn answered(step: Step) -> Reply {
    match step {
        Step::Reply(reply) => reply,
        Step::Send(_) => panic!("sent"),
        Step::Read(_) => panic!("wants the body"),
    }
}

pub fn response(status: u16, content_type: &str) -> http::response::Parts {
    http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(())
        .unwrap()
        .into_parts()
        .0
}

/// Feeds a chunk and returns what would go to the client.
pub fn push(observing: &mut Observing, chunk: &str) -> String {
    let mut out = String::new();
    observing.data(Bytes::copy_from_slice(chunk.as_bytes()), &mut |piece| {
        out.push_str(std::str::from_utf8(&piece).unwrap())
    });
    out
}

pub fn body_text(dispatch: &Dispatch) -> String {
    let body = dispatch.body().expect("a whole body");
    body.chunks()
        .iter()
        .map(|chunk| std::str::from_utf8(chunk).unwrap())
        .collect()
}
