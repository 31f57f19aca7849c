//! What all requests share: the configuration in force, the pools' running state, budgets and the decision ring.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use flow::Detector;
use payload::Parsers;
use resources::{ObjectName, Pool, Snapshot};
use routing::Table;
use scheduling::{PrefixIndex, Scheduler, Scratch};
use signals::{EndpointSet, Time};

use crate::budget::Budget;
use crate::entropy::Entropy;
use crate::errors::ErrorStyle;
use crate::observer::Observer;
use crate::record::Ring;

/// Yields the time. The rim owns the real one; tests own a virtual one.
pub trait Clock: Send + Sync {
    /// Now, on the process's monotonic scale.
    fn now(&self) -> Time;
}

/// Limits and choices that hold for the whole process. Every bound has a gauge beside it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest request body read, in bytes, also after decompression. Default 64 MiB.
    pub body_bytes_max: u64,
    /// Bytes of request bodies held at once, over all requests. Default 1 GiB.
    pub body_budget_bytes: u64,
    /// Requests in the house at once. Default 65,536.
    pub requests_max: u64,
    /// Decisions kept for `/debug/decisions`. Default 1,024.
    pub decisions_max: usize,
    /// Tokens per prefix block. Default 64, about 256 bytes of text.
    pub block_tokens: u32,
    /// Blocks of one prompt that are looked at. Default 16,384 (a million tokens).
    pub prompt_blocks_max: usize,
    /// Largest number of endpoints tried for one request. Default 4.
    pub attempts_max: usize,
    /// Request header that names the model for requests whose body does not. Default none.
    pub model_header: Option<http::HeaderName>,
    /// Name the serving endpoint in the response header `x-plimsoll-endpoint`. Default off: it tells clients pod names.
    pub expose_endpoint: bool,
    /// Which request bodies are read, and how strictly; `None` tells the API from the path and passes on the rest.
    pub parsers: Option<Parsers>,
    /// How error answers are worded.
    pub errors: ErrorStyle,
    /// Keep the scores of all endpoints with each decision, for a proxy that wants them. Default off.
    pub all_scores: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 << 20,
            body_budget_bytes: 1 << 30,
            requests_max: 65_536,
            decisions_max: 1_024,
            block_tokens: 64,
            prompt_blocks_max: 16_384,
            attempts_max: 4,
            model_header: None,
            expose_endpoint: false,
            parsers: None,
            errors: ErrorStyle::Api,
            all_scores: false,
        }
    }
}

/// Yields the endpoints of a pool or Service as they are now.
pub trait EndpointSource: Send + Sync {
    /// The set in force.
    fn current(&self) -> Arc<EndpointSet>;
}

/// A set that someone else swaps.
impl EndpointSource for ArcSwap<EndpointSet> {
    fn current(&self) -> Arc<EndpointSet> {
        self.load_full()
    }
}

/// Running state of one pool; survives configuration changes.
pub struct PoolState {
    /// The pool's endpoints, kept up to date by the collector.
    pub endpoints: Arc<dyn EndpointSource>,
    /// Where prompt prefixes were sent.
    pub index: Arc<PrefixIndex>,
    /// How endpoints are picked. Swapped when its configuration changes; requests under way keep
    /// the one they began with.
    pub scheduler: ArcSwap<Scheduler>,
    /// When the pool counts as full.
    pub detector: ArcSwap<Detector>,
}

/// Running state of one plain Service.
pub struct ServiceState {
    /// The Service's endpoints.
    pub endpoints: Arc<dyn EndpointSource>,
    turn: AtomicUsize,
}

impl ServiceState {
    /// State over the given endpoint set.
    #[must_use]
    pub fn new(endpoints: Arc<dyn EndpointSource>) -> Self {
        Self {
            endpoints,
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// Name and port of a Service backend.
pub type ServiceKey = (ObjectName, u16);

/// One pool in one generation of the configuration.
#[derive(Clone)]
pub struct PoolView {
    /// Objectives, rewrites and protocol as configured.
    pub resource: Arc<Pool>,
    /// Endpoints, index and profile.
    pub state: Arc<PoolState>,
}

/// One generation of the configuration, compiled for requests. Swapped whole.
pub struct View {
    /// Resources as validated.
    pub snapshot: Arc<Snapshot>,
    /// The compiled routes.
    pub table: Table,
    /// Pools by name.
    pub pools: HashMap<ObjectName, PoolView>,
    /// Services by name and port.
    pub services: HashMap<ServiceKey, Arc<ServiceState>>,
}

impl View {
    /// Compiles a snapshot; `pools` and `services` hold the running state of what it names.
    #[must_use]
    pub fn new(
        snapshot: Arc<Snapshot>,
        pools: &HashMap<ObjectName, Arc<PoolState>>,
        services: HashMap<ServiceKey, Arc<ServiceState>>,
    ) -> Self {
        let table = Table::build(&snapshot);
        let pools = snapshot
            .pools
            .iter()
            .filter_map(|(name, resource)| {
                let state = pools.get(name)?.clone();
                Some((
                    name.clone(),
                    PoolView {
                        resource: resource.clone(),
                        state,
                    },
                ))
            })
            .collect();
        Self {
            snapshot,
            table,
            pools,
            services,
        }
    }

    /// A view without running state, for looking requests up without sending them.
    #[must_use]
    pub fn unpopulated(snapshot: Arc<Snapshot>) -> Self {
        Self::new(snapshot, &HashMap::new(), HashMap::new())
    }
}

/// Shared by all requests and both doors.
pub struct Core {
    view: ArcSwap<View>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    entropy: Entropy,
    body_budget: Budget,
    requests: Budget,
    decisions: Ring,
    scratch: Mutex<Vec<Scratch>>,
    draining: AtomicBool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Scratch areas kept for reuse; more are made and thrown away under higher concurrency.
const SCRATCH_KEPT: usize = 64;

impl Core {
    /// A core that serves `view`. `seed` makes draws repeatable.
    pub fn new(
        view: View,
        settings: Settings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        seed: u64,
    ) -> Self {
        Self {
            view: ArcSwap::from_pointee(view),
            body_budget: Budget::new(settings.body_budget_bytes),
            requests: Budget::new(settings.requests_max),
            decisions: Ring::new(settings.decisions_max),
            settings,
            clock,
            observer,
            entropy: Entropy::new(seed),
            scratch: Mutex::new(Vec::new()),
            draining: AtomicBool::new(false),
        }
    }

    /// Puts a new generation in force. Requests that are under way finish on theirs.
    pub fn configure(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// The generation in force.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// From now on new requests are refused with 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether [`Core::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Limits in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Bytes of request bodies in memory.
    #[must_use]
    pub fn body_budget(&self) -> &Budget {
        &self.body_budget
    }

    /// Requests in the house.
    #[must_use]
    pub fn requests(&self) -> &Budget {
        &self.requests
    }

    /// The last decisions.
    #[must_use]
    pub fn decisions(&self) -> &Ring {
        &self.decisions
    }

    /// Now, on the core's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    pub(crate) fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Runs `work` with a scratch area that keeps its capacity from earlier decisions.
    pub(crate) fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let kept = self
            .scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut scratch = kept.unwrap_or_default();
        let result = work(&mut scratch);
        let mut shelf = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.len() < SCRATCH_KEPT {
            shelf.push(scratch);
        }
        result
    }

    /// Time since `earlier` on the core's clock.
    pub(crate) fn since(&self, earlier: Time) -> Duration {
        self.now().saturating_since(earlier)
    }
}
