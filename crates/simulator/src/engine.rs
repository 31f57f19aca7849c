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

mod lora;
mod pool;
mod request;
mod schedule;
mod stats;

use std::collections::VecDeque;

use thiserror::Error;

use crate::perf::PerfRow;
use lora::LoraSlots;
use pool::BlockPool;
use request::{Request, RequestTable};
use schedule::Step;
pub use stats::{Counters, Gauges};

/// A point of simulated time: nanoseconds since an epoch that the driver chooses.
pub type Nanos = u64;

/// Names a request of one engine. An id that has ended is not given again within four thousand
/// million requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    place: u32,
    generation: u32,
}

/// Names a LoRA adapter; the driver gives the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdapterId(pub u32);

/// A request as the engine sees it.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Prompt length, tokens; at least 1.
    pub prompt_tokens: u32,
    /// Tokens to emit. 0 is a pooling request (embeddings): it ends with its prefill.
    pub output_tokens: u32,
    /// Hash of each full block of the sequence, chained from its start and seeded with all that
    /// makes KV entries differ (adapter, salt). It may reach past the prompt when the driver knows
    /// what will be emitted; blocks without a hash are never shared.
    pub blocks: Vec<u64>,
    /// The adapter, or none for the base model.
    pub adapter: Option<AdapterId>,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// As many requests wait as may.
    #[error("{waiting} requests are waiting, which is the most allowed")]
    QueueFull {
        /// How many wait.
        waiting: u32,
    },
    /// Prompt and output do not fit the model or the cache.
    #[error("the sequence has {tokens} tokens, the most allowed are {allowed}")]
    TooLong {
        /// Prompt and output together, tokens.
        tokens: u64,
        /// The lower of model length and cache size, tokens.
        allowed: u64,
    },
    /// A prompt without tokens.
    #[error("the prompt is empty: at least one token is needed")]
    EmptyPrompt,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// All tokens were emitted.
    Complete,
    /// The driver aborted it.
    Aborted,
}

/// Times and counts of a request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// When it was submitted.
    pub arrived: Nanos,
    /// When it was first scheduled, if it was.
    pub scheduled: Option<Nanos>,
    /// When its first token was emitted, if one was.
    pub first_token: Option<Nanos>,
    /// When it ended.
    pub finished: Nanos,
    /// How it ended.
    pub reason: FinishReason,
    /// Prompt length, tokens.
    pub prompt_tokens: u32,
    /// Prompt tokens found in the cache when it was first scheduled.
    pub cached_tokens: u32,
    /// Tokens emitted.
    pub output_tokens: u32,
    /// How often it lost its blocks and was computed again.
    pub preemptions: u32,
}

/// What happened, in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The request joined the batch for the first time.
    Scheduled {
        /// Which request.
        id: RequestId,
        /// Start of the step.
        at: Nanos,
        /// Prompt tokens found in the cache.
        cached_tokens: u32,
    },
    /// The request emitted a token.
    Token {
        /// Which request.
        id: RequestId,
        /// End of the step.
        at: Nanos,
        /// Place of the token in the output, from 0.
        index: u32,
    },
    /// The request has emitted all it had to; the engine has forgotten it.
    Finished {
        /// Which request.
        id: RequestId,
        /// Its times and counts.
        summary: Summary,
    },
}

/// Settings of an engine; [`crate::SimConfig::engine`] makes one from the outer settings.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineConfig {
    /// Step times.
    pub perf: PerfRow,
    /// Tokens in a KV block.
    pub block_size: u32,
    /// KV blocks.
    pub kv_blocks: u32,
    /// Most requests running at once.
    pub max_num_seqs: u32,
    /// Most tokens computed in one step.
    pub max_num_batched_tokens: u32,
    /// Most tokens of one prefill computed in one step; `u32::MAX` for no limit of its own.
    pub long_prefill_threshold: u32,
    /// Most requests waiting.
    pub max_waiting: u32,
    /// Longest prompt plus output, tokens.
    pub max_model_len: u32,
    /// Share of the blocks that admission leaves free while others run.
    pub watermark: f64,
    /// Whether computed blocks are found again.
    pub prefix_caching: bool,
    /// Adapters that fit at once.
    pub max_loras: u32,
    /// Time to load an adapter.
    pub lora_load: Nanos,
    /// Share by which each distinct adapter lengthens a step.
    pub lora_step_overhead: f64,
    /// Factor on every step time.
    pub slow_factor: f64,
}

impl EngineConfig {
    /// vLLM's usual settings for a row of step times: 256 sequences, 8,192 tokens a step, the
    /// cache that the row's memory holds.
    pub fn new(perf: PerfRow, block_size: u32) -> Self {
        let block_size = block_size.max(1);
        let kv_blocks = (perf.kv_capacity_tokens / u64::from(block_size)).max(1);
        Self {
            perf,
            block_size,
            kv_blocks: u32::try_from(kv_blocks).unwrap_or(u32::MAX),
            max_num_seqs: 256,
            max_num_batched_tokens: 8192,
            long_prefill_threshold: u32::MAX,
            max_waiting: u32::MAX,
            max_model_len: u32::MAX,
            watermark: 0.01,
            prefix_caching: true,
            max_loras: 4,
            lora_load: 100_000_000,
            lora_step_overhead: 0.02,
            slow_factor: 1.0,
        }
    }
}

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
    step: Option<Step>,
    /// When to try to start a step, while none is under way.
    wake: Option<Nanos>,
    gauges: Gauges,
    counters: Counters,
}

impl Engine {
    /// An idle engine with an empty cache.
    pub fn new(config: EngineConfig) -> Self {
        Self {
            pool: BlockPool::new(config.kv_blocks),
            lora: LoraSlots::new(config.max_loras, config.lora_load),
            config,
            requests: RequestTable::default(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            step: None,
            wake: None,
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
        let request = self.requests.remove(id)?;
        match self.running.iter().position(|running| *running == id) {
            Some(place) => {
                self.running.remove(place);
            }
            None => self.waiting.retain(|waiting| *waiting != id),
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

    /// Whether a step is under way; if so, a submission changes no [`next_event`](Self::next_event).
    pub fn is_busy(&self) -> bool {
        self.step.is_some()
    }

    /// Runs everything that was due by `now`, and appends what happened to `events`.
    pub fn advance(&mut self, now: Nanos, events: &mut Vec<Event>) {
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

    /// Changes the factor on step times, from the next step on.
    pub fn set_slow_factor(&mut self, factor: f64) {
        self.config.slow_factor = factor;
    }

    /// Requests that have not ended, waiting and running.
    pub fn live_requests(&self) -> usize {
        self.requests.len()
    }

    /// Blocks that running requests hold.
    pub fn used_blocks(&self) -> u32 {
        self.pool.used()
    }

    /// Blocks that can be found by their hash.
    pub fn cached_blocks(&self) -> usize {
        self.pool.cached()
    }

    /// How many leading blocks of `hashes` the cache holds now.
    pub fn cached_prefix(&self, hashes: &[u64]) -> usize {
        self.pool.matching(hashes)
    }

    /// Forgets an adapter that no running request uses; returns whether it held a slot.
    pub fn unload_adapter(&mut self, adapter: AdapterId) -> bool {
        self.lora.unload(adapter)
    }
}

#[cfg(test)]
mod tests;
