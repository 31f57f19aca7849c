//! The gateway with all it stands on, as the binary wires it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gateway::{ApplyError, Bound, Gateway, Options};
use lifecycle::{
    AttemptFailure, Clock, Core, Ending, Finished, Observer, PoolState, Record, ServiceKey,
    ServiceState, Settings, View,
};
use resources::{BackendTarget, EndpointSpec, Filter, ObjectName, Scheme, Snapshot, Source};
use scheduling::{PrefixIndex, Scheduler};
use signals::{Endpoint, EndpointIdentity, EndpointSet, Ledger, Load, Reservation, Time};

use super::until;

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Time {
        Time::from_nanos(1_000_000_000 + self.0.elapsed().as_nanos() as u64)
    }
}

/// What a request came to.
#[derive(Debug, Clone)]
pub struct End {
    pub ending: Ending,
    pub served: Option<Arc<str>>,
    pub failed: Vec<AttemptFailure>,
}

#[derive(Default)]
struct Log(Mutex<Vec<End>>);

impl Observer for Log {
    fn decided(&self, _: &Record) {}
    fn finished(&self, finished: &Finished<'_>) {
        let outcome = finished.outcome;
        self.0.lock().unwrap().push(End {
            ending: outcome.ending,
            served: outcome.served.clone(),
            failed: outcome
                .failed_attempts
                .iter()
                .map(|attempt| attempt.cause)
                .collect(),
        });
    }
}

type Set = Arc<ArcSwap<EndpointSet>>;

pub struct House {
    pub core: Arc<Core>,
    pub gateway: Arc<Gateway>,
    log: Arc<Log>,
    pools: Mutex<HashMap<ObjectName, (Set, Arc<PoolState>)>>,
}

/// Ports that manifests declare, all bound to free ones.
const DECLARED: [u16; 4] = [80, 81, 443, 8443];

pub fn options() -> Options {
    Options {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port_map: DECLARED.iter().map(|port| (*port, 0)).collect(),
        ..Options::default()
    }
}

impl House {
    pub fn start(manifests: &str) -> Self {
        Self::with(manifests, Settings::default(), options())
    }

    pub fn with(manifests: &str, settings: Settings, options: Options) -> Self {
        let log = Arc::new(Log::default());
        let core = Arc::new(Core::new(
            View::unpopulated(Arc::default()),
            settings,
            Arc::new(RealClock(Instant::now())),
            log.clone(),
            7,
        ));
        let house = Self {
            gateway: Arc::new(Gateway::new(core.clone(), options).unwrap()),
            core,
            log,
            pools: Mutex::default(),
        };
        house.apply(manifests).unwrap();
        house
    }

    /// Puts other manifests in force.
    pub fn apply(&self, manifests: &str) -> Result<Vec<Bound>, ApplyError> {
        let snapshot = Arc::new(snapshot(manifests));
        let bound = self.gateway.apply(&snapshot)?;
        let mut kept = self.pools.lock().unwrap();
        for (name, pool) in &snapshot.pools {
            let (set, _) = kept.entry(name.clone()).or_insert_with(|| {
                let set: Set = Arc::default();
                let state = PoolState {
                    endpoints: set.clone(),
                    index: Arc::new(PrefixIndex::new(1)),
                    scheduler: ArcSwap::from_pointee(Scheduler::standard()),
                    detector: ArcSwap::from_pointee(flow::Detector::default()),
                };
                (set, Arc::new(state))
            });
            update(set, &pool.endpoints);
        }
        let pools = kept
            .iter()
            .map(|(name, (_, state))| (name.clone(), state.clone()))
            .collect();
        let services = services_of(&snapshot);
        self.core.configure(View::new(snapshot, &pools, services));
        Ok(bound)
    }

    /// Where a declared port is really served.
    pub fn address(&self, declared: u16) -> SocketAddr {
        let bound = self.gateway.bound();
        bound
            .iter()
            .find(|bound| bound.declared == declared)
            .unwrap()
            .address
    }

    pub fn http(&self) -> SocketAddr {
        self.address(80)
    }

    /// All endpoints of pools.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let kept = self.pools.lock().unwrap();
        kept.values()
            .flat_map(|(set, _)| set.load().endpoints.clone())
            .collect()
    }

    /// Puts load on all pool endpoints but the one on `port`, so that it is picked first.
    pub fn prefer(&self, port: u16) -> Vec<Reservation> {
        let load = Load::estimate(100_000, 0, 0);
        let mut reservations = Vec::new();
        for endpoint in self.endpoints() {
            if endpoint.address().port() != port {
                reservations.push(Ledger::reserve(&endpoint, load, self.core.now()));
            }
        }
        reservations
    }

    /// Requests on the ledgers of the pools.
    pub fn in_flight(&self) -> u64 {
        self.endpoints()
            .iter()
            .map(|endpoint| endpoint.ledger().view().requests)
            .sum()
    }

    /// Waits until `count` requests have ended, and tells how.
    pub async fn ended(&self, count: usize) -> Vec<End> {
        let log = self.log.clone();
        until(|| log.0.lock().unwrap().len() >= count).await;
        log.0.lock().unwrap().clone()
    }

    /// Waits until nothing is held for any request.
    pub async fn idle(&self) {
        until(|| {
            self.in_flight() == 0
                && self.core.requests().used() == 0
                && self.core.body_budget().used() == 0
        })
        .await;
    }

    /// Begins the shutdown in the background.
    pub fn shut_down(&self, patience: Duration) -> tokio::task::JoinHandle<usize> {
        let gateway = self.gateway.clone();
        tokio::spawn(async move { gateway.shutdown(patience).await })
    }
}

fn snapshot(manifests: &str) -> Snapshot {
    let options = resources::Options {
        default_listen_port: 80,
        endpoints: Vec::new(),
        ..resources::Options::default()
    };
    let (snapshot, problems) = resources::build(&[Source::new("test.yaml", manifests)], &options);
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    snapshot
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

fn update(set: &Set, specs: &[EndpointSpec]) {
    let old = set.load_full();
    let endpoints = specs
        .iter()
        .map(|spec| {
            let address: SocketAddr = format!("{}:{}", spec.host, spec.port).parse().unwrap();
            let known = old
                .endpoints
                .iter()
                .find(|endpoint| endpoint.address() == address);
            known.cloned().unwrap_or_else(|| {
                let identity = EndpointIdentity {
                    name: spec.name.clone(),
                    address,
                    host: spec.host.clone(),
                    https: spec.scheme == Scheme::Https,
                    labels: spec.labels.clone(),
                    rank: spec.rank,
                };
                Arc::new(Endpoint::new(
                    NEXT_ID.fetch_add(1, Ordering::Relaxed),
                    identity,
                ))
            })
        })
        .collect();
    set.store(Arc::new(EndpointSet {
        generation: old.generation + 1,
        endpoints,
    }));
}

fn services_of(snapshot: &Snapshot) -> HashMap<ServiceKey, Arc<ServiceState>> {
    let mut services = HashMap::new();
    let mut add = |target: &BackendTarget| {
        if let BackendTarget::Service(service) = target {
            let set = Set::default();
            update(&set, &service.endpoints);
            services.insert(
                (service.name.clone(), service.port),
                Arc::new(ServiceState::new(set)),
            );
        }
    };
    let attached = snapshot
        .listeners
        .iter()
        .flat_map(|listener| &listener.routes);
    for rule in attached.flat_map(|attached| &attached.route.rules) {
        rule.backends
            .iter()
            .for_each(|backend| add(&backend.target));
        for filter in &rule.filters {
            if let Filter::Mirror(mirror) = filter {
                add(&mirror.target);
            }
        }
    }
    services
}
