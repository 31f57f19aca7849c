//! The HTTP interface: vLLM's endpoints over one [`crate::Engine`].
//!
//! | path | what |
//! |---|---|
//! | `POST /v1/chat/completions`, `/v1/completions`, `/v1/responses` | OpenAI, streamed or whole |
//! | `POST /v1/messages`, `/v1/messages/count_tokens` | Anthropic, streamed or whole |
//! | `POST /v1/embeddings`, `/inference/v1/generate`, `/tokenize` | as in vLLM |
//! | `GET /v1/models`, `POST /v1/load_lora_adapter`, `/v1/unload_lora_adapter` | models |
//! | `GET /health`, `/metrics`, `/version` | state |
//! | `GET` and `POST /admin/config` | the [`Faults`], the named ones changed |
//!
//! Text is four bytes a token. An answer's text follows from its prompt and the seed. Without
//! `max_tokens` its length is drawn; with it the drawn length is cut there, and `ignore_eos` makes
//! it exactly that long. Every answer carries `x-inference-pod`. Times in `/metrics` are simulated
//! time, but for the two lag gauges.

mod answer;
mod body;
mod clock;
mod connections;
mod core;
mod failure;
mod inference;
mod metrics;
mod models;
mod plan;
mod prompt;
mod recorder;
mod request;
mod routes;
mod text;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{core::Core, models::Models, plan::Planner};
use crate::config::{ConfigError, Faults, SimConfig};

/// One simulated server, ready to serve.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
}

/// A view into a running server, for tests and for the process that holds many of them. Clones
/// share the server.
#[derive(Debug, Clone)]
pub struct SimHandle {
    shared: Arc<Shared>,
}

/// A server's state and totals at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SimStats {
    /// Requests that have not ended, waiting and running, now rather than at the last step's end.
    pub live: usize,
    /// Requests in the batch at the last step's end.
    pub running: u32,
    /// Requests waiting at the last step's end.
    pub waiting: u32,
    /// KV blocks that running requests hold, now.
    pub used_blocks: u32,
    /// KV blocks that can be found by their hash, now.
    pub cached_blocks: usize,
    /// Inference requests that have arrived over HTTP.
    pub received: u64,
    /// Sequences that emitted all their tokens.
    pub finished: u64,
    /// Sequences whose client went away.
    pub aborted: u64,
    /// Prompt tokens looked up in the prefix cache.
    pub cache_queries: u64,
    /// Of those, the ones found.
    pub cache_hits: u64,
    /// Tokens emitted.
    pub generation_tokens: u64,
    /// Sequences that lost their blocks and were computed again.
    pub preemptions: u64,
    /// Steps that ended.
    pub steps: u64,
    /// Greatest delay of a step's end behind its due time, seconds of real time.
    pub lag_max_s: f64,
    /// Mean of that delay, seconds of real time.
    pub lag_mean_s: f64,
}

/// What all connections of a server share.
#[derive(Debug)]
struct Shared {
    config: SimConfig,
    core: Arc<Core>,
    planner: Planner,
    models: Mutex<Models>,
    faults: ArcSwap<Faults>,
    received: AtomicU64,
    /// `received` at which to crash; `u64::MAX` for never.
    crash_at: AtomicU64,
    crash: CancellationToken,
    ids: AtomicU64,
    /// Unix time of the start, seconds.
    started_s: f64,
}

impl Shared {
    fn new(config: SimConfig) -> Result<Self, ConfigError> {
        let engine = config.engine()?;
        let planner = Planner::new(&config, &engine);
        let shared = Self {
            core: Arc::new(Core::new(engine, config.time_scale)),
            planner,
            models: Mutex::new(Models::new(&config)),
            faults: ArcSwap::from_pointee(Faults::default()),
            received: AtomicU64::new(0),
            crash_at: AtomicU64::new(u64::MAX),
            crash: CancellationToken::new(),
            ids: AtomicU64::new(0),
            started_s: recorder::unix_seconds(),
            config,
        };
        shared.set_faults(shared.config.faults.clone())?;
        Ok(shared)
    }

    fn models(&self) -> MutexGuard<'_, Models> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_faults(&self, faults: Faults) -> Result<(), ConfigError> {
        faults.validate()?;
        let received = self.received.load(Ordering::Relaxed);
        let crash_at = faults
            .crash_after
            .map_or(u64::MAX, |more| received.saturating_add(more));
        self.crash_at.store(crash_at, Ordering::Relaxed);
        self.core.set_slow_factor(faults.slow_factor);
        self.faults.store(Arc::new(faults));
        Ok(())
    }

    /// Counts an inference request and crashes when it is time to; returns its number from 1.
    fn arrive(&self) -> u64 {
        let number = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        if number >= self.crash_at.load(Ordering::Relaxed) {
            self.crash.cancel();
        }
        number
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

impl Simulator {
    /// Checks the settings and makes an idle server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field that is out of its bounds.
    pub fn new(config: SimConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            shared: Arc::new(Shared::new(config)?),
        })
    }

    /// A view into this server that stays valid while it serves.
    pub fn handle(&self) -> SimHandle {
        SimHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Serves until `shutdown` is cancelled: then the listener closes, and connections have
    /// [`DRAIN`] to finish their answers. Dropping the future ends everything at once.
    ///
    /// # Errors
    ///
    /// `ConnectionAborted` after a crash fault, at which all connections are dropped at once.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let driver = tokio::spawn(Arc::clone(&self.shared.core).drive());
        let _driver = AbortOnDropHandle::new(driver);
        connections::serve(self.shared, listener, shutdown).await
    }
}

pub use connections::DRAIN;

impl SimHandle {
    /// State and totals now.
    pub fn stats(&self) -> SimStats {
        let state = self.shared.core.state();
        let (engine, recorder) = (&state.engine, &state.recorder);
        let (gauges, counters) = (engine.gauges(), engine.counters());
        SimStats {
            live: engine.live_requests(),
            running: gauges.running,
            waiting: gauges.waiting,
            used_blocks: engine.used_blocks(),
            cached_blocks: engine.cached_blocks(),
            received: self.shared.received.load(Ordering::Relaxed),
            finished: recorder.stopped + recorder.limited,
            aborted: recorder.aborted,
            cache_queries: counters.cache_queries,
            cache_hits: counters.cache_hits,
            generation_tokens: counters.generation_tokens,
            preemptions: counters.preemptions,
            steps: counters.steps,
            lag_max_s: recorder.lag_max.as_secs_f64(),
            lag_mean_s: recorder.lag_mean_s(),
        }
    }

    /// Replaces the faults; `crash_after` counts from now.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field that is out of its bounds; nothing is changed then.
    pub fn set_faults(&self, faults: Faults) -> Result<(), ConfigError> {
        self.shared.set_faults(faults)
    }
}

/// Serves one simulated server on `listener` until `shutdown` is cancelled.
///
/// # Errors
///
/// `InvalidInput` when the settings are out of their bounds, else as [`Simulator::serve`].
pub async fn serve(
    listener: TcpListener,
    config: SimConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    Simulator::new(config)
        .map_err(invalid)?
        .serve(listener, shutdown)
        .await
}
