//! What goes into the engine and what comes out.

use thiserror::Error;

use super::Nanos;

/// Names a request of one engine. An id that has ended is not given again within four thousand
/// million requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    pub(super) place: u32,
    pub(super) generation: u32,
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
    /// Leading prompt tokens whose KV entries a prefill server holds: they are fetched from there
    /// instead of computed. 0 for none.
    pub remote_tokens: u32,
    /// Keep the blocks when the request ends, for a decode server to fetch, until
    /// [`Engine::release`](super::Engine::release).
    pub hold: bool,
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
    /// The engine crashed.
    Lost,
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
    /// The request has its blocks and fetches KV entries from a prefill server.
    Fetching {
        /// Which request.
        id: RequestId,
        /// Start of the transfer.
        at: Nanos,
        /// End of the transfer: the prefill server may release its blocks.
        until: Nanos,
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

/// What became of the cache, in the order it happened. The engines' KV events are made of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheChange {
    /// A block was computed and can be found from now on.
    Stored {
        /// Whose sequence it belongs to.
        id: RequestId,
        /// Place of the block in the sequence, from 0.
        index: u32,
        /// Its hash.
        hash: u64,
        /// Hash of the block before it.
        parent: Option<u64>,
    },
    /// A block was evicted.
    Removed {
        /// Its hash.
        hash: u64,
    },
    /// Everything was dropped at once.
    Cleared,
}

/// Which tokens become [`Event::Token`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenEvents {
    /// Each one.
    #[default]
    All,
    /// The first of each request; the rest follows from its [`Summary`].
    First,
}
