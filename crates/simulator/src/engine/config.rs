//! Settings of an engine.

use super::{Nanos, TokenEvents};
use crate::perf::PerfRow;

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
    /// Time to load an adapter from host memory.
    pub lora_load: Nanos,
    /// Adapters that fit into host memory; `u32::MAX` when all of them are there.
    pub max_cpu_loras: u32,
    /// Time to fetch an adapter that is not in host memory, before it is loaded.
    pub lora_fetch: Nanos,
    /// Share by which each distinct adapter lengthens a step.
    pub lora_step_overhead: f64,
    /// Factor on every step time.
    pub slow_factor: f64,
    /// From its start, or from a restart after a crash, to the engine's first step.
    pub startup: Nanos,
    /// After that, for so long steps take longer: at first by [`cold_factor`](Self::cold_factor),
    /// then ever less.
    pub warm_up: Nanos,
    /// Factor on the very first step.
    pub cold_factor: f64,
    /// How KV entries come from a prefill server.
    pub transfer: Transfer,
    /// Take steps that only decode in one go where nothing can happen in between. Times are those
    /// of single steps, to the nanosecond; cache changes inside of such a stretch are told at its
    /// end. For drivers that need not act on each token.
    pub fast_forward: bool,
    /// Which tokens become events.
    pub token_events: TokenEvents,
    /// Whether [`CacheChange`](super::CacheChange)s are kept for
    /// [`Engine::take_cache_changes`](super::Engine::take_cache_changes).
    pub cache_changes: bool,
}

/// The link between prefill and decode servers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transfer {
    /// Time before the first byte.
    pub setup: Nanos,
    /// Bytes per second.
    pub bytes_per_sec: f64,
}

impl Default for Transfer {
    /// One NDR InfiniBand link: 1 ms and 40 GB/s.
    fn default() -> Self {
        Self {
            setup: 1_000_000,
            bytes_per_sec: 40e9,
        }
    }
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
            max_cpu_loras: u32::MAX,
            lora_fetch: 0,
            slow_factor: 1.0,
            startup: 0,
            warm_up: 0,
            cold_factor: 1.0,
            transfer: Transfer::default(),
            fast_forward: false,
            token_events: TokenEvents::All,
            cache_changes: false,
        }
    }
}
