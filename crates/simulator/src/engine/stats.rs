//! What the engine tells about itself.

use super::AdapterId;

/// State as of the end of the last step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// Requests in the batch.
    pub running: u32,
    /// Requests waiting, for whatever reason.
    pub waiting: u32,
    /// Share of KV blocks that running requests hold, 0 to 1.
    pub kv_usage: f64,
    /// Adapters with running requests, sorted.
    pub running_adapters: Vec<AdapterId>,
    /// Adapters with waiting requests, sorted.
    pub waiting_adapters: Vec<AdapterId>,
}

/// Totals since the engine was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Steps finished.
    pub steps: u64,
    /// Prompt tokens of requests that finished their first prefill.
    pub prompt_tokens: u64,
    /// Prompt tokens looked up in the cache, once for each request.
    pub cache_queries: u64,
    /// Of those, the ones found.
    pub cache_hits: u64,
    /// Tokens emitted.
    pub generation_tokens: u64,
    /// Requests that lost their blocks to older ones.
    pub preemptions: u64,
}
