//! `inflight-load-producer`: requests and tokens of ours in flight.
//!
//! The ledger counts them exactly. Only when output is to be counted too is there something to keep
//! beside it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::{Endpoint, Time};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Keeper, Placed, PreRequest, Produced, Producer, SourceId, Ticket};

pub(super) const KIND: Kind = Kind::new::<InFlight>(
    "inflight-load-producer",
    Roles::PRODUCER.and(Roles::PRE_REQUEST),
);

/// What counts as load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct InFlight {
    /// Count the tokens an answer is expected to have, until it ends.
    add_estimated_output_tokens: bool,
    /// Output tokens per token of the prompt, 0 or more.
    output_ratio: f64,
    /// Most output tokens to expect; 0 or more, any number when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_estimated_output_tokens: Option<i64>,
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
    /// Accepted for compatibility: pickers do not share state yet.
    sync_cross_replica_state: bool,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            add_estimated_output_tokens: false,
            output_ratio: 1.5,
            max_estimated_output_tokens: None,
            prefix_match_info_producer_name: String::new(),
            sync_cross_replica_state: true,
        }
    }
}

impl InFlight {
    /// Output tokens to expect of a prompt of `input` tokens, when the client allows `allowed`.
    pub(super) fn output(&self, input: u64, allowed: Option<u64>) -> u64 {
        let expected = (input as f64 * self.output_ratio).round() as u64;
        let limit = self
            .max_estimated_output_tokens
            .map_or(u64::MAX, |limit| u64::try_from(limit).unwrap_or(0));
        expected.min(allowed.unwrap_or(u64::MAX)).min(limit)
    }
}

impl PluginType for InFlight {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let ratio = self.output_ratio;
        build.require(ratio >= 0.0, "outputRatio", ratio, ">= 0");
        let most = self.max_estimated_output_tokens.unwrap_or(0);
        build.require(most >= 0, "maxEstimatedOutputTokens", most, ">= 0");
        let source = build.prefix_source(&self.prefix_match_info_producer_name);
        let mut instance = Instance::default();
        if self.add_estimated_output_tokens {
            let counted = Arc::new(WithOutput {
                parameters: self,
                source,
                tokens: RwLock::default(),
            });
            instance.producer = Some(counted.clone());
            instance.placed = Some(counted.clone());
            instance.keeper = Some(counted);
        }
        instance
            .needing(Data::Tokens, "")
            .providing(Data::InFlightLoad)
            .providing(Data::UncachedTokens)
    }
}

/// Counts prompt and expected output tokens by endpoint.
#[derive(Debug)]
struct WithOutput {
    parameters: InFlight,
    source: SourceId,
    tokens: RwLock<HashMap<u32, Arc<AtomicU64>>>,
}

impl WithOutput {
    fn counter(&self, endpoint: u32) -> Arc<AtomicU64> {
        let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&endpoint) {
            return Arc::clone(counter);
        }
        drop(known);
        let mut all = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(endpoint).or_default())
    }

    /// Counts the request on an endpoint until the ticket is dropped.
    fn count(&self, field: &Field<'_>, endpoint: &Endpoint, until_first_token: bool) -> Counted {
        let query = field.query;
        let ids = field.endpoints.iter().map(|endpoint| endpoint.id());
        let place = ids.into_iter().position(|id| id == endpoint.id());
        let place = place.and_then(|place| u32::try_from(place).ok());
        let matched = place.map_or(0, |place| field.matched(self.source, place));
        let uncached = query.prompt_tokens - query.tokens_in(matched);
        let output = self
            .parameters
            .output(query.prompt_tokens, query.max_tokens);
        let tokens = uncached.saturating_add(output).min(1 << 32);
        let counter = self.counter(endpoint.id());
        counter.fetch_add(tokens, Relaxed);
        Counted {
            counter,
            tokens,
            until_first_token,
        }
    }
}

impl Producer for WithOutput {
    fn produce(&self, field: &Field<'_>, _: &[u32], out: &mut Produced) {
        let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let tokens = field.endpoints.iter().map(|endpoint| {
            let counter = known.get(&endpoint.id());
            counter.map_or(0, |counter| counter.load(Relaxed))
        });
        out.tokens_in_flight.extend(tokens);
    }
}

impl PreRequest for WithOutput {
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects) {
        for (at, ran) in placed.ran.iter().enumerate() {
            if let Some(target) = ran.target() {
                let prefills = &*placed.profiles[at] == "prefill";
                let ticket = self.count(placed.field, target, prefills);
                effects.tickets.push(Box::new(ticket));
            }
        }
    }
}

impl Keeper for WithOutput {
    fn forget(&self, endpoint: &Endpoint) {
        let mut known = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(&endpoint.id());
    }
}

/// Tokens counted on an endpoint.
#[derive(Debug)]
struct Counted {
    counter: Arc<AtomicU64>,
    tokens: u64,
    until_first_token: bool,
}

impl Counted {
    fn give_back(&mut self) {
        self.counter
            .fetch_sub(std::mem::take(&mut self.tokens), Relaxed);
    }
}

impl Ticket for Counted {
    fn first_token(&mut self, _: Time) {
        if self.until_first_token {
            self.give_back();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.give_back();
    }
}
