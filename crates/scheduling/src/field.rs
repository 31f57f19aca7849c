//! What plugins see: the request and, for each endpoint, one reading of its state.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use signals::{Endpoint, LedgerView, Signals, Time};

use crate::{Positions, PrefixIndex};

/// The request, as far as scheduling cares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// The target model, after rewriting; an adapter is named by it.
    pub model: &'a str,
    /// Chained hashes of the prompt's blocks, a partial last block included.
    pub blocks: &'a [u64],
    /// Tokens in one block.
    pub block_tokens: u32,
    /// Tokens of the prompt, counted or estimated.
    pub prompt_tokens: u64,
    /// The client's limit of output tokens.
    pub max_tokens: Option<u64>,
    /// Priority of the request's objective; higher is more important.
    pub priority: i32,
    /// Addresses the request is confined to. `Some` of an empty slice allows none.
    pub subset: Option<&'a [IpAddr]>,
}

impl Query<'_> {
    /// The blocks that are full, which are those an engine caches and the index should store.
    #[must_use]
    pub fn full_blocks(&self) -> &[u64] {
        let full = self.prompt_tokens / u64::from(self.block_tokens.max(1));
        let full = usize::try_from(full).unwrap_or(usize::MAX);
        &self.blocks[..self.blocks.len().min(full)]
    }

    /// Tokens in the first `blocks` blocks, never more than the prompt has.
    #[must_use]
    pub fn tokens_in(&self, blocks: u32) -> u64 {
        (u64::from(blocks) * u64::from(self.block_tokens)).min(self.prompt_tokens)
    }
}

/// One reading of an endpoint, made at the start of a scheduling run.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointState {
    /// What the server says.
    pub signals: Signals,
    /// What our own requests in flight ask of it.
    pub load: LedgerView,
    /// Leading blocks of the prompt that it is believed to hold.
    pub matched_blocks: u32,
    /// Prompt tokens it would have to compute; at least 1 unless the prompt is empty.
    pub uncached_tokens: u64,
    /// A connection to it failed a moment ago.
    pub suspect: bool,
    /// It is leaving.
    pub draining: bool,
}

/// The request and the endpoints of one scheduling run.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The request.
    pub query: &'a Query<'a>,
    /// All endpoints of the pool. Plugins name endpoints by their index here.
    pub endpoints: &'a [Arc<Endpoint>],
    /// Their state, index by index.
    pub states: &'a [EndpointState],
    /// The time of the run.
    pub now: Time,
}

impl Field<'_> {
    /// The state of the endpoint at `index` of [`Field::endpoints`].
    #[must_use]
    pub fn state(&self, index: u32) -> &EndpointState {
        &self.states[index as usize]
    }
}

/// Buffers of a scheduling run, kept between runs so that none allocates per endpoint. One per
/// worker; holds no state that matters.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) positions: Positions,
    pub(crate) matched: Vec<u32>,
    pub(crate) states: Vec<EndpointState>,
    pub(crate) kept: Vec<u32>,
    /// Weighted scores, scorer by scorer, each as long as `kept`.
    pub(crate) scores: Vec<f32>,
    pub(crate) totals: Vec<f32>,
    pub(crate) order: Vec<u32>,
}

impl Scratch {
    /// Reads the state of every endpoint.
    pub(crate) fn survey(
        &mut self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
        index: &PrefixIndex,
        now: Time,
    ) {
        self.positions.set(endpoints);
        self.matched.clear();
        self.matched.resize(endpoints.len(), 0);
        index.longest_match(query.blocks, &self.positions, &mut self.matched);
        self.states
            .resize(endpoints.len(), EndpointState::default());
        for ((state, endpoint), &matched) in
            self.states.iter_mut().zip(endpoints).zip(&self.matched)
        {
            let cached = query.tokens_in(matched);
            state.signals = endpoint.signals().view(now);
            state.load = endpoint.ledger().view();
            state.matched_blocks = matched;
            // Engines recompute at least the last token to produce logits.
            state.uncached_tokens = (query.prompt_tokens - cached).max(query.prompt_tokens.min(1));
            state.suspect = endpoint.health().is_suspect(now);
            state.draining = endpoint.health().is_draining();
        }
    }
}

pub(crate) fn age_ms(age: Option<Duration>) -> Option<u32> {
    age.map(|age| u32::try_from(age.as_millis()).unwrap_or(u32::MAX))
}
