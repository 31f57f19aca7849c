//! Which endpoint was sent which prompt blocks.

use std::sync::Arc;

use signals::Endpoint;

/// Where each endpoint of a list stands in it, by id.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    ids: Vec<u32>,
}

impl Positions {
    /// Makes this the positions of `endpoints`.
    pub fn set(&mut self, endpoints: &[Arc<Endpoint>]) {
        self.ids.clear();
        self.ids
            .extend(endpoints.iter().map(|endpoint| endpoint.id()));
    }
}

/// The approximate prefix index: block hash → endpoints, learned from our own routing.
#[derive(Debug, Default)]
pub struct PrefixIndex {}

impl PrefixIndex {
    /// An empty index. `seed` keys its hash tables against crafted prompts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let _ = seed;
        Self {}
    }

    /// How many blocks of prompt an endpoint can hold: its real KV capacity when scraped.
    #[must_use]
    pub fn capacity_blocks(endpoint: &Endpoint, block_tokens: u32) -> u32 {
        let _ = (endpoint, block_tokens);
        31_250
    }

    /// For each endpoint of `positions`, the number of leading `blocks` it holds, to `out`.
    pub fn longest_match(&self, blocks: &[u64], positions: &Positions, out: &mut [u32]) {
        let _ = (blocks, &positions.ids, out);
    }

    /// The endpoint was sent a prompt of `blocks`; it now holds them, and gives up those it used
    /// longest ago when they exceed `capacity_blocks`.
    pub fn store(&self, endpoint: u32, capacity_blocks: u32, blocks: &[u64]) {
        let _ = (endpoint, capacity_blocks, blocks);
    }

    /// The endpoint reported how many leading blocks of a prompt it really had.
    pub fn correct(&self, endpoint: u32, blocks: &[u64], actual_blocks: u32) {
        let _ = (endpoint, blocks, actual_blocks);
    }

    /// Forgets an endpoint.
    pub fn remove_endpoint(&self, endpoint: u32) {
        let _ = endpoint;
    }

    /// Number of (block, endpoint) pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        0
    }
}
