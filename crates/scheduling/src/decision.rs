//! What a scheduling run returns.

use std::net::SocketAddr;
use std::sync::Arc;

use signals::{Endpoint, Load};
use smallvec::SmallVec;

/// How many endpoints a [`Decision`] ranks at most: the first choice and its fallbacks.
pub const MAX_FALLBACKS: usize = 8;

/// One endpoint of the ranking.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Where to send the request: the endpoint's address, unless the profile handler has all
    /// requests go to one port of a pod.
    pub address: SocketAddr,
    /// Its weighted sum of scores.
    pub total: f32,
    /// Leading blocks of the prompt that it is believed to hold.
    pub matched_blocks: u32,
    /// Prompt tokens it would have to compute.
    pub uncached_tokens: u64,
    /// What to book in its ledger if the request goes there.
    pub load: Load,
}

/// What was known about an endpoint when the decision was made, for the decision record.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// Its weighted sum of scores.
    pub total: f32,
    /// Weighted score per scorer, in the order of [`Decision::scorer_names`].
    pub scores: SmallVec<[f32; 6]>,
    /// Scraped requests waiting.
    pub waiting: u32,
    /// Scraped requests running.
    pub running: u32,
    /// Scraped share of KV space in use.
    pub kv: f32,
    /// Prompt tokens of our own requests in flight that are yet to be computed.
    pub inflight_tokens: u64,
    /// Leading blocks of the prompt that it is believed to hold.
    pub matched_blocks: u32,
    /// Age of the scraped gauges in milliseconds; `None` = never scraped.
    pub signal_age_ms: Option<u32>,
}

/// How many endpoints were left at each stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    /// Endpoints in the pool.
    pub considered: u32,
    /// Endpoints in the request's subset; equal to `considered` without one.
    pub in_subset: u32,
    /// Survivors of each filter, in the order of [`Decision::filter_names`].
    pub after_filter: SmallVec<[u32; 4]>,
}

/// The outcome of a profile, and with [`Decision::others`] of a scheduling run.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Name of the profile.
    pub profile: Arc<str>,
    /// Best first, at most [`MAX_FALLBACKS`]; never empty.
    pub ranked: Vec<Choice>,
    /// The same endpoints with what was known about them, in the same order.
    pub candidates: SmallVec<[Candidate; 8]>,
    /// Names of the scorers, for [`Candidate::scores`].
    pub scorer_names: Arc<[Arc<str>]>,
    /// Names of the filters, for [`Funnel::after_filter`].
    pub filter_names: Arc<[Arc<str>]>,
    /// How many endpoints were left at each stage.
    pub funnel: Funnel,
    /// How many of `ranked` the picker was asked for. A proxy is told of these; the others are
    /// fallbacks for those who can use them.
    pub named: usize,
    /// Sums of all endpoints that the profile rated, if the query wants them.
    pub scores: Vec<(SocketAddr, f32)>,
    /// Outcomes of the other profiles that chose something, such as `prefill`.
    pub others: Vec<Decision>,
}

impl Decision {
    /// The endpoints that a proxy is told of.
    #[must_use]
    pub fn targets(&self) -> &[Choice] {
        &self.ranked[..self.named.min(self.ranked.len())]
    }
}

/// Why no endpoint could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The pool, or the request's subset of it, is empty.
    #[error(
        "no endpoints to choose from: {considered} in the pool, none of them in the subset asked for"
    )]
    NoEndpoints {
        /// Endpoints in the pool before the subset was applied.
        considered: u32,
    },
    /// Screening left nothing.
    #[error("screening left none of {before} endpoints")]
    ScreenedOut {
        /// How many there were.
        before: u32,
    },
    /// An admitter refused the request.
    #[error("{admitter} does not admit the request: {reason}")]
    Denied {
        /// Name of the admitter.
        admitter: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The profile handler could not make an outcome of what the profiles chose.
    #[error("{0}")]
    Unfinished(String),
    /// The request wants to be served only where its prompt is cached, and it is not.
    #[error(
        "no endpoint holds a part of the prompt, and the request prefers not to be served then"
    )]
    NotCached,
    /// A filter left nothing.
    #[error("no endpoints available for the given request: filter {filter} left none of {before}")]
    FilteredOut {
        /// Name of the filter.
        filter: Arc<str>,
        /// How many it was given.
        before: u32,
    },
}
