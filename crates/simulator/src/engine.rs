//! The engine: continuous batching with chunked prefill over a paged KV cache, step by step.
//!
//! A driver calls [`Engine::submit`] and [`Engine::abort`] when they happen, asks
//! [`Engine::next_event`] when to come back, and calls [`Engine::advance`] then. It may come late:
//! what happens is stamped with the time it was due, and a request never takes part in a step that
//! was due before it arrived.
//!
//! One step serves the decoding requests first (a token each), then running prefills, then
//! admits waiting requests in order while the token budget, the sequence slots, the adapter slots
//! and the blocks for their whole known sequence last. When the decodes of a step do not fit into
//! the cache, the youngest running request gives its blocks back and waits again, at the front,
//! keeping the tokens it has emitted.
//!
//! Prefill and decode servers of a split fleet are the same engine: a prefill server ends requests
//! after one token and [holds](Submission::hold) their blocks, a decode server
//! [fetches](Submission::remote_tokens) them.

mod config;
mod lora;
mod pool;
mod remote;
mod request;
mod schedule;
mod stats;
mod stretch;
mod types;
mod upset;

use std::collections::VecDeque;

pub use config::{EngineConfig, Transfer};
use lora::LoraSlots;
use pool::{BlockId, BlockPool};
use remote::Fetch;
use request::{Request, RequestTable};
use schedule::Step;
pub use stats::{Counters, Gauges};
pub use types::{
    AdapterId, CacheChange, Event, FinishReason, Refusal, RequestId, Submission, Summary,
    TokenEvents,
};

/// A point of simulated time: nanoseconds since an epoch that the driver chooses.
pub type Nanos = u64;

/// One model server's scheduler, cache and clock. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    pool: BlockPool,
    lora: LoraSlots,
    requests: RequestTable,
    /// In order of arrival, preempted ones ahead.
    waiting: VecDeque<RequestId>,
    /// In order of admission: the last is the youngest.
    running: Vec<RequestId>,
    /// Requests that have their blocks and wait for KV entries from elsewhere.
    fetching: Vec<Fetch>,
    /// Blocks of ended requests that wait to be fetched.
    held: Vec<(RequestId, Vec<BlockId>)>,
    step: Option<Step>,
    /// When to try to start a step, while none is under way.
    wake: Option<Nanos>,
    /// No step starts before.
    stalled_until: Nanos,
    /// When it last came up.
    up_since: Nanos,
    /// Events of steps that were booked ahead of the driver's call.
    pending: Vec<Event>,
    /// Kept for its capacity.
    spare_entries: Vec<(RequestId, u32)>,
    gauges: Gauges,
    counters: Counters,
}

impl Engine {
    /// An idle engine with an empty cache.
    pub fn new(config: EngineConfig) -> Self {
        Self {
            pool: BlockPool::new(config.kv_blocks, config.cache_changes),
            lora: LoraSlots::new(&config),
            stalled_until: config.startup,
            up_since: config.startup,
            config,
            requests: RequestTable::default(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            fetching: Vec::new(),
            held: Vec::new(),
            step: None,
            wake: None,
            pending: Vec::new(),
            spare_entries: Vec::new(),
            gauges: Gauges::default(),
            counters: Counters::default(),
        }
    }

    /// Takes a request that arrives at `now`. It joins the first step that starts then or later.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it could never run or too many wait; the engine is unchanged.
    pub fn submit(&mut self, now: Nanos, submission: Submission) -> Result<RequestId, Refusal> {
        self.check(&submission)?;
        // Behind others it cannot join before they do. Adapters are told by the gauges.
        if self.waiting.is_empty() || submission.adapter.is_some() {
            self.cut_stretch(now);
        }
        let id = self.requests.insert(Request::new(now, submission));
        self.waiting.push_back(id);
        if self.step.is_none() {
            self.wake = Some(self.wake.map_or(now, |wake| wake.min(now)));
        }
        Ok(id)
    }

    fn check(&self, submission: &Submission) -> Result<(), Refusal> {
        if submission.prompt_tokens == 0 {
            return Err(Refusal::EmptyPrompt);
        }
        let tokens = u64::from(submission.prompt_tokens) + u64::from(submission.output_tokens);
        let cache = u64::from(self.config.kv_blocks) * u64::from(self.config.block_size);
        let allowed = cache.min(u64::from(self.config.max_model_len));
        if tokens > allowed {
            return Err(Refusal::TooLong { tokens, allowed });
        }
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        if waiting >= self.config.max_waiting {
            return Err(Refusal::QueueFull { waiting });
        }
        Ok(())
    }

    /// Drops a request and frees its blocks; the step under way still takes its time. Returns the
    /// summary, or `None` if the request has ended before.
    pub fn abort(&mut self, now: Nanos, id: RequestId) -> Option<Summary> {
        self.settle(now);
        let request = self.requests.remove(id)?;
        if let Some(place) = self.running.iter().position(|running| *running == id) {
            self.running.remove(place);
        } else {
            self.waiting.retain(|waiting| *waiting != id);
            self.fetching.retain(|fetch| fetch.id != id);
        }
        self.give_back(&request);
        if self.step.is_none() {
            self.publish();
        }
        Some(request.summary(now, FinishReason::Aborted))
    }

    /// When [`advance`](Self::advance) has something to do next; `None` while idle.
    pub fn next_event(&self) -> Option<Nanos> {
        self.step.as_ref().map(|step| step.end).or(self.wake)
    }

    /// Whether a step is under way; if so, a submission changes no [`next_event`](Self::next_event)
    /// unless [`EngineConfig::fast_forward`] is on, when it may bring it forward.
    pub fn is_busy(&self) -> bool {
        self.step.is_some()
    }

    /// Runs everything that was due by `now`, and appends what happened to `events`.
    pub fn advance(&mut self, now: Nanos, events: &mut Vec<Event>) {
        events.append(&mut self.pending);
        while let Some(due) = self.next_event().filter(|due| *due <= now) {
            if let Some(step) = self.step.take() {
                self.finish_step(step, events);
            }
            self.wake = None;
            self.start_step(due, events);
        }
    }

    /// What a scrape sees: the state at the last step's end, as in vLLM.
    pub fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// Totals since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Requests that have not ended, waiting and running.
    pub fn live_requests(&self) -> usize {
        self.requests.len()
    }

    /// Blocks that are not free: those of running requests, of fetching ones, and held ones.
    pub fn used_blocks(&self) -> u32 {
        self.pool.used()
    }

    /// Blocks that can be found by their hash.
    pub fn cached_blocks(&self) -> usize {
        self.pool.cached()
    }

    /// How many leading blocks of `hashes` the cache holds. Inside of a fast-forward stretch this is
    /// the state at its start.
    pub fn cached_prefix(&self, hashes: &[u64]) -> usize {
        self.pool.matching(hashes)
    }

    /// Moves what happened to the cache since the last call to `changes`. Nothing unless
    /// [`EngineConfig::cache_changes`] is on. Take them before the events of the same
    /// [`advance`](Self::advance) are handled: requests they name may end in it.
    pub fn take_cache_changes(&mut self, changes: &mut Vec<CacheChange>) {
        self.pool.take_changes(changes);
    }

    /// When the step under way at `now` ends.
    pub fn step_end(&self, now: Nanos) -> Option<Nanos> {
        self.step.as_ref().map(|step| self.single_end(step, now))
    }

    /// Prefills that no step has begun to compute: tokens of context, and tokens to compute with
    /// the cache as it is.
    pub fn prefill_backlog(&self) -> impl Iterator<Item = (u32, u32)> {
        let in_step = |id: RequestId| {
            let entries = self.step.iter().flat_map(|step| &step.entries);
            let mut mine = entries.filter(move |(entry, _)| *entry == id);
            mine.next().map_or(0, |(_, tokens)| *tokens)
        };
        let running = self.running.iter().filter_map(move |id| {
            let request = self.requests.get(*id)?;
            if request.decodes() {
                return None;
            }
            let computed = request.computed + in_step(*id);
            Some((computed, request.known().saturating_sub(computed)))
        });
        let waiting = self.waiting.iter().filter_map(|id| {
            let request = self.requests.get(*id)?;
            let limit = ((request.known() - 1) / self.config.block_size) as usize;
            let hashes = request.hashes.get(..limit).unwrap_or(&request.hashes);
            let cached = self.pool.matching(hashes) as u32 * self.config.block_size;
            Some((cached, request.known() - cached))
        });
        running.chain(waiting).filter(|(_, left)| *left > 0)
    }

    /// Forgets an adapter that no running request uses; returns whether it held a slot.
    pub fn unload_adapter(&mut self, adapter: AdapterId) -> bool {
        self.lora.unload(adapter)
    }
}

#[cfg(test)]
mod tests;
