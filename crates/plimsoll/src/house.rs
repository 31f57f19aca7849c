//! Wiring: turns a configuration snapshot into running pools, and keeps them over configuration changes.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use collect::{Membership, MembershipOptions, ScrapeOptions, Scraper, SystemResolver, Target};
use gateway::{ApplyError, Bound, Gateway};
use lifecycle::{Core, EndpointSource, PoolState, ServiceKey, ServiceState, Settings, View};
use observe::{Compat, ConfigGauges, Gauges, Metrics, NameSet};
use resources::{BackendTarget, EndpointSpec, Filter, ObjectName, Scheme, Snapshot};
use scheduling::PrefixIndex;
use signals::{Endpoint, EndpointSet};
use tokio_util::sync::CancellationToken;

use crate::access_log::{AccessLog, Everyone};
use crate::clock::MonotonicClock;
use crate::picking::Picking;

/// How the house is set up, besides its configuration snapshot.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    /// The embedded data plane; none behind another proxy.
    pub(crate) gateway: Option<gateway::Options>,
    /// Whom to trust behind `https` endpoints.
    pub(crate) trust: gateway::UpstreamTrust,
    pub(crate) scrape: ScrapeOptions,
    pub(crate) picking: Picking,
    /// Seed of all random draws; fixed in demos, so that they can be repeated.
    pub(crate) seed: u64,
    /// Log one line per request.
    pub(crate) access_log: bool,
    /// Count under these names too.
    pub(crate) names: Vec<NameSet>,
    /// Configuration changes refused so far, as the source of the configuration counts them.
    pub(crate) refused: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Everything that runs.
pub(crate) struct House {
    pub(crate) core: Arc<Core>,
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) compat: Vec<Arc<Compat>>,
    scraper: Arc<Scraper>,
    picking: Picking,
    seed: u64,
    pools: HashMap<ObjectName, Running<PoolState>>,
    services: HashMap<ServiceKey, Running<ServiceState>>,
    stop: CancellationToken,
}

/// The state of a backend with the membership that feeds it. Dropping it stops following names.
struct Running<S> {
    state: Arc<S>,
    membership: Arc<Membership>,
    stop: CancellationToken,
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Lets the lifecycle read what the collector keeps.
struct Members(Arc<Membership>);

impl EndpointSource for Members {
    fn current(&self) -> Arc<EndpointSet> {
        self.0.endpoints()
    }
}

/// Forgets what was known about endpoints that are gone.
struct Forget {
    index: Arc<PrefixIndex>,
    state: OnceLock<Weak<PoolState>>,
    metrics: Arc<Metrics>,
    pool: Arc<str>,
}

impl collect::Observer for Forget {
    fn added(&self, endpoint: &Arc<Endpoint>) {
        tracing::info!(pool = %self.pool, endpoint = %endpoint.name(), address = %endpoint.address(), "endpoint added");
    }

    fn removed(&self, endpoint: &Arc<Endpoint>) {
        tracing::info!(pool = %self.pool, endpoint = %endpoint.name(), "endpoint removed");
        self.index.remove_endpoint(endpoint.id());
        if let Some(state) = self.state.get().and_then(Weak::upgrade) {
            state.scheduler.load().forget(endpoint);
        }
        self.metrics.forget_endpoint(&self.pool, endpoint.name());
    }
}

struct Facts {
    core: std::sync::Weak<Core>,
    gateway: Option<std::sync::Weak<Gateway>>,
    refused: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl ConfigGauges for Facts {
    fn generation(&self) -> u64 {
        self.core
            .upgrade()
            .map_or(0, |core| core.view().snapshot.generation)
    }

    fn refused(&self) -> u64 {
        (self.refused)()
    }

    fn connections(&self) -> usize {
        let gateway = self.gateway.as_ref().and_then(std::sync::Weak::upgrade);
        gateway.map_or(0, |gateway| gateway.tasks())
    }
}

impl House {
    /// A house without configuration; give it one with [`House::apply`].
    pub(crate) fn build(plan: Plan) -> Result<Self, gateway::StartError> {
        let clock = MonotonicClock::start();
        let metrics = Arc::new(Metrics::new());
        let empty = View::new(
            Arc::new(Snapshot::default()),
            &HashMap::new(),
            HashMap::new(),
        );
        let compat: Vec<_> = plan
            .names
            .iter()
            .map(|set| Arc::new(Compat::new(*set)))
            .collect();
        let observer = everyone(&metrics, &compat, plan.access_log);
        let core = Arc::new(Core::new(
            empty,
            plan.settings,
            Arc::new(clock),
            observer,
            plan.seed,
        ));
        let mut scrape = plan.scrape;
        scrape.tls = Some(Arc::new(gateway::client_config(&plan.trust)?));
        let scraper = Arc::new(Scraper::new(
            scrape,
            Arc::new(clock),
            tokio::runtime::Handle::current(),
        ));
        let gateway = match plan.gateway {
            Some(options) => Some(Arc::new(Gateway::new(core.clone(), options)?)),
            None => None,
        };
        let facts = Facts {
            core: Arc::downgrade(&core),
            gateway: gateway.as_ref().map(Arc::downgrade),
            refused: plan.refused,
        };
        metrics.watch(Gauges::new(Arc::downgrade(&core), Box::new(facts)));
        for names in &compat {
            names.watch(Arc::downgrade(&core));
        }
        Ok(Self {
            core,
            gateway,
            metrics,
            compat,
            scraper,
            picking: plan.picking,
            seed: plan.seed,
            pools: HashMap::new(),
            services: HashMap::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Puts a snapshot in force: memberships first, so that its routes find their endpoints, then routes, then ports.
    ///
    /// # Errors
    /// [`ApplyError`] when TLS material is unusable or a port cannot be bound; the earlier configuration stays.
    pub(crate) async fn apply(
        &mut self,
        snapshot: Arc<Snapshot>,
    ) -> Result<Vec<Bound>, ApplyError> {
        if self.gateway.is_some() {
            Gateway::check(&snapshot)?;
        }
        for (name, pool) in &snapshot.pools {
            let targets = targets(&pool.endpoints);
            if !self.pools.contains_key(name) {
                let running = self.open_pool(name);
                self.pools.insert(name.clone(), running);
            }
            if let Some(running) = self.pools.get(name) {
                running.membership.update(targets);
                running.membership.settled().await;
            }
        }
        let services = services_of(&snapshot);
        for (key, endpoints) in &services {
            if !self.services.contains_key(key) {
                let running = self.open_service();
                self.services.insert(key.clone(), running);
            }
            if let Some(running) = self.services.get(key) {
                running.membership.update(targets(endpoints));
                running.membership.settled().await;
            }
        }
        let bound = match &self.gateway {
            Some(gateway) => gateway.apply(&snapshot)?,
            None => Vec::new(),
        };
        let pool_states = self
            .pools
            .iter()
            .map(|(name, running)| (name.clone(), running.state.clone()))
            .collect();
        let service_states = self
            .services
            .iter()
            .map(|(key, running)| (key.clone(), running.state.clone()))
            .collect();
        self.core
            .configure(View::new(snapshot.clone(), &pool_states, service_states));
        self.pools
            .retain(|name, _| snapshot.pools.contains_key(name));
        self.services.retain(|key, _| services.contains_key(key));
        Ok(bound)
    }

    /// Picks endpoints in another way from now on. Requests under way finish in the way they began.
    pub(crate) fn pick(&mut self, picking: Picking) {
        for running in self.pools.values() {
            let state = &running.state;
            let previous = state.scheduler.load_full();
            let scheduler = picking.scheduler(self.seed, Some(&previous));
            state.scheduler.store(Arc::new(scheduler));
            state.detector.store(Arc::new(picking.detector()));
        }
        self.picking = picking;
    }

    fn open_pool(&self, name: &ObjectName) -> Running<PoolState> {
        let index = Arc::new(PrefixIndex::new(self.seed));
        let forget = Arc::new(Forget {
            index: index.clone(),
            state: OnceLock::new(),
            metrics: self.metrics.clone(),
            pool: name.to_string().into(),
        });
        let observers: Vec<Arc<dyn collect::Observer>> = vec![self.scraper.clone(), forget.clone()];
        let (membership, stop) = self.follow(observers);
        let state = Arc::new(PoolState {
            endpoints: Arc::new(Members(membership.clone())),
            index,
            scheduler: ArcSwap::from_pointee(self.picking.scheduler(self.seed, None)),
            detector: ArcSwap::from_pointee(self.picking.detector()),
        });
        // The two know each other; the membership is not told of endpoints before this.
        let _ = forget.state.set(Arc::downgrade(&state));
        Running {
            state,
            membership,
            stop,
        }
    }

    fn open_service(&self) -> Running<ServiceState> {
        let (membership, stop) = self.follow(Vec::new());
        let state = Arc::new(ServiceState::new(Arc::new(Members(membership.clone()))));
        Running {
            state,
            membership,
            stop,
        }
    }

    fn follow(
        &self,
        observers: Vec<Arc<dyn collect::Observer>>,
    ) -> (Arc<Membership>, CancellationToken) {
        let membership = Arc::new(Membership::new(
            MembershipOptions::default(),
            Arc::new(SystemResolver),
            observers,
        ));
        let stop = self.stop.child_token();
        let (follower, token) = (membership.clone(), stop.clone());
        tokio::spawn(async move { follower.run(token).await });
        (membership, stop)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// All that listen to requests.
fn everyone(
    metrics: &Arc<Metrics>,
    compat: &[Arc<Compat>],
    access_log: bool,
) -> Arc<dyn lifecycle::Observer> {
    if compat.is_empty() && !access_log {
        return metrics.clone();
    }
    let mut all: Vec<Arc<dyn lifecycle::Observer>> = vec![metrics.clone()];
    for names in compat {
        all.push(names.clone());
    }
    if access_log {
        all.push(Arc::new(AccessLog));
    }
    Arc::new(Everyone(all))
}

fn targets(specs: &[EndpointSpec]) -> Vec<Target> {
    specs
        .iter()
        .filter(|spec| spec.ready)
        .map(|spec| Target {
            name: spec.name.clone(),
            host: spec.host.clone(),
            port: spec.port,
            https: spec.scheme == Scheme::Https,
            labels: spec.labels.clone(),
            rank: spec.rank,
        })
        .collect()
}

/// All Services that rules and mirrors refer to.
fn services_of(snapshot: &Snapshot) -> HashMap<ServiceKey, Vec<EndpointSpec>> {
    let mut services = HashMap::new();
    let mut add = |target: &BackendTarget| {
        if let BackendTarget::Service(service) = target {
            services.insert(
                (service.name.clone(), service.port),
                service.endpoints.clone(),
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
        let filters = rule
            .filters
            .iter()
            .chain(rule.backends.iter().flat_map(|backend| &backend.filters));
        for filter in filters {
            if let Filter::Mirror(mirror) = filter {
                add(&mirror.target);
            }
        }
    }
    services
}
