//! What plugins see: the request and, for each endpoint, one reading of its state.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use signals::{Endpoint, LedgerView, Signals, Time};

use crate::profile::{Buffers, count};
use crate::{Findings, Positions, PrefixIndex, ScheduleError, SourceId};

/// Headers of a request. Their values are nobody's business, so they are not shown.
#[derive(Clone, Copy, Default)]
pub struct RequestHeaders<'a>(pub Option<&'a HeaderMap>);

impl fmt::Debug for RequestHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} headers", self.0.map_or(0, HeaderMap::len))
    }
}

impl<'a> RequestHeaders<'a> {
    /// The first value of a header, spaces around it taken off; `None` when it is absent, empty
    /// or no text. `name` is in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let value = self.0?.get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then_some(value)
    }
}

/// What the client wants of latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slo {
    /// Milliseconds to the first token; 0 = nothing said.
    pub ttft_ms: f32,
    /// Milliseconds per output token after it; 0 = nothing said.
    pub tpot_ms: f32,
}

impl Slo {
    /// Reads `x-llm-d-slo-ttft-ms` and `x-llm-d-slo-tpot-ms`, or the older `x-slo-...`. What is no
    /// number above 0 says nothing; a newer header overrides an older one even then.
    #[must_use]
    pub fn of(headers: RequestHeaders<'_>) -> Self {
        let read = |newer: &str, older: &str| {
            let text = headers.get(newer).or_else(|| headers.get(older));
            let value = text.and_then(|text| text.parse::<f32>().ok());
            value.filter(|value| value.is_finite() && *value > 0.0)
        };
        Self {
            ttft_ms: read("x-llm-d-slo-ttft-ms", "x-slo-ttft-ms").unwrap_or(0.0),
            tpot_ms: read("x-llm-d-slo-tpot-ms", "x-slo-tpot-ms").unwrap_or(0.0),
        }
    }

    /// Whether anything is said.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.ttft_ms > 0.0 || self.tpot_ms > 0.0
    }
}

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
    /// Addresses the request is confined to, each with one port or with all. `Some` of an empty
    /// slice allows none.
    pub subset: Option<&'a [(IpAddr, Option<u16>)]>,
    /// Headers of the request.
    pub headers: RequestHeaders<'a>,
    /// Path of the request, without the query.
    pub path: &'a str,
    /// Id of the request, unique among those in flight.
    pub request_id: &'a str,
    /// Whom the request is for, as far as fairness goes.
    pub fairness_id: &'a str,
    /// The answer is to be streamed.
    pub stream: bool,
    /// What the client wants of latencies.
    pub slo: Slo,
    /// Hashes of the images, sounds and videos of the prompt, each once.
    pub media: &'a [u64],
    /// Return the sums of all endpoints, not only of those chosen.
    pub wants_scores: bool,
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
    /// What plugins found out about the request.
    pub findings: &'a Findings,
    /// The time of the run.
    pub now: Time,
}

impl Field<'_> {
    /// Leading blocks of the prompt that the endpoint at `index` holds, according to `source`.
    #[must_use]
    pub fn matched(&self, source: SourceId, index: u32) -> u32 {
        match source.beside() {
            None => self.state(index).matched_blocks,
            Some(place) => {
                let matches = self.findings.beside.get(place);
                let blocks = matches.and_then(|matches| matches.blocks.get(index as usize));
                blocks.copied().unwrap_or(0)
            }
        }
    }

    /// Share of the prompt's blocks that the endpoint at `index` holds, according to `source`; 0
    /// for a prompt without blocks.
    #[must_use]
    pub fn matched_share(&self, source: SourceId, index: u32) -> f32 {
        let total = self.query.blocks.len().max(1);
        (self.matched(source, index) as f32 / total as f32).min(1.0)
    }

    /// Tokens of our requests in flight on the endpoint at `index`: prompt tokens yet to be
    /// computed, unless a producer counts otherwise.
    #[must_use]
    pub fn tokens_in_flight(&self, index: u32) -> u64 {
        let counted = self.findings.tokens_in_flight.get(index as usize);
        counted
            .copied()
            .unwrap_or(self.state(index).load.prefill_tokens)
    }

    /// Label of the endpoint at `index`.
    #[must_use]
    pub fn label(&self, index: u32, key: &str) -> Option<&str> {
        let identity = self.endpoints[index as usize].identity();
        identity.labels.get(key).map(String::as_str)
    }

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
    /// Endpoints that any profile may choose.
    pub(crate) base: Vec<u32>,
    pub(crate) kept: Vec<u32>,
    /// Weighted scores, scorer by scorer, each as long as `kept`.
    pub(crate) scores: Vec<f32>,
    pub(crate) totals: Vec<f32>,
    pub(crate) order: Vec<u32>,
    pub(crate) findings: Findings,
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

impl Scratch {
    /// Lists the endpoints that the request is confined to.
    pub(crate) fn confine(
        &mut self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
    ) -> Result<(), ScheduleError> {
        let considered = count(endpoints.len());
        self.base.clear();
        match query.subset {
            None => self.base.extend(0..considered),
            Some(allowed) => self.base.extend((0..considered).filter(|&index| {
                let address = endpoints[index as usize].address();
                let fits = |(ip, port): &(IpAddr, Option<u16>)| {
                    *ip == address.ip() && port.is_none_or(|port| port == address.port())
                };
                allowed.iter().any(fits)
            })),
        }
        if self.base.is_empty() {
            return Err(ScheduleError::NoEndpoints { considered });
        }
        Ok(())
    }

    /// What plugins see, the endpoints any profile may choose, and the buffers of a profile.
    pub(crate) fn split<'a>(
        &'a mut self,
        query: &'a Query<'a>,
        endpoints: &'a [Arc<Endpoint>],
        now: Time,
    ) -> (Field<'a>, &'a mut Vec<u32>, Buffers<'a>) {
        let field = Field {
            query,
            endpoints,
            states: &self.states,
            findings: &self.findings,
            now,
        };
        let buffers = Buffers {
            kept: &mut self.kept,
            scores: &mut self.scores,
            totals: &mut self.totals,
            order: &mut self.order,
        };
        (field, &mut self.base, buffers)
    }
}

pub(crate) fn age_ms(age: Option<Duration>) -> Option<u32> {
    age.map(|age| u32::try_from(age.as_millis()).unwrap_or(u32::MAX))
}
