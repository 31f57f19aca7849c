//! `dynamo-cost-scorer`: the cost of Dynamo's KV router, in blocks to prefill and to decode.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::Endpoint;

use crate::cost::costs_to_scores;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Keeper, Placed, PreRequest, Reads, Scorer, SourceId, Ticket};

pub(super) const KIND: Kind =
    Kind::new::<Dynamo>("dynamo-cost-scorer", Roles::SCORER.and(Roles::PRE_REQUEST)).ours();

/// ```text
/// cost = prefillLoadScale · max(0, (queued prompt tokens + prompt tokens) / block
///                                  − overlapCredit · matched blocks)
///      + different blocks of our requests in flight, this one included
///      + requestWeight · requests in flight
/// ```
///
/// With a temperature above 0, scores are softmax weights for `weighted-random-picker`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Dynamo {
    /// Weight of what is to be prefilled, 0 or more.
    prefill_load_scale: f32,
    /// Blocks that a matched one saves, 0 or more.
    overlap_credit: f32,
    /// Blocks that a request in flight counts as, 0 or more.
    request_weight: f32,
    /// How random the choice is, 0 or more.
    temperature: f32,
}

impl Default for Dynamo {
    fn default() -> Self {
        Self {
            prefill_load_scale: 1.0,
            overlap_credit: 1.0,
            request_weight: 0.0,
            temperature: 0.0,
        }
    }
}

/// Blocks of requests in flight on one endpoint, with the number of requests that have them.
type Active = Arc<Mutex<HashMap<u64, u32>>>;

#[derive(Debug)]
struct Router {
    parameters: Dynamo,
    active: RwLock<HashMap<u32, Active>>,
}

impl PluginType for Dynamo {
    fn build(self, build: &mut Build<'_>) -> Instance {
        for (path, value) in [
            ("prefillLoadScale", self.prefill_load_scale),
            ("overlapCredit", self.overlap_credit),
            ("requestWeight", self.request_weight),
            ("temperature", self.temperature),
        ] {
            build.require(value >= 0.0, path, value, ">= 0");
        }
        let router = Arc::new(Router {
            parameters: self,
            active: RwLock::default(),
        });
        Instance {
            scorer: Some(router.clone()),
            placed: Some(router.clone()),
            keeper: Some(router),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, "")
    }
}

impl Router {
    fn active_of(&self, endpoint: u32) -> Active {
        let known = self.active.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = known.get(&endpoint) {
            return Arc::clone(active);
        }
        drop(known);
        let mut all = self.active.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(endpoint).or_default())
    }

    /// Different blocks in flight on an endpoint if it got the request.
    fn decode_blocks(&self, field: &Field<'_>, index: u32) -> usize {
        let blocks = field.query.blocks;
        let known = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = known.get(&field.endpoints[index as usize].id()) else {
            return blocks.len();
        };
        let active = active.lock().unwrap_or_else(PoisonError::into_inner);
        // A request has all blocks before any of its blocks, so the border is found by bisection.
        let shared = blocks.partition_point(|block| active.contains_key(block));
        active.len() + blocks.len() - shared
    }
}

impl Scorer for Router {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let Dynamo {
            prefill_load_scale,
            overlap_credit,
            request_weight,
            temperature,
        } = self.parameters;
        let query = field.query;
        let block = query.block_tokens.max(1) as f32;
        for (out, &index) in out.iter_mut().zip(kept) {
            let load = &field.state(index).load;
            let tokens = load.prefill_tokens + query.prompt_tokens;
            let matched = field.matched(SourceId::POOL, index) as f32;
            let prefill = (tokens as f32 / block - overlap_credit * matched).max(0.0);
            *out = prefill_load_scale * prefill
                + self.decode_blocks(field, index) as f32
                + request_weight * load.requests as f32;
        }
        if temperature > 0.0 {
            soften(out, temperature);
        } else {
            costs_to_scores(out, 1.0);
        }
    }
}

/// Softmax weights of costs, scaled to the range they lie in; the greatest is 1.
fn soften(costs: &mut [f32], temperature: f32) {
    let least = costs.iter().copied().fold(f32::INFINITY, f32::min);
    let most = costs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = (most - least).max(f32::MIN_POSITIVE);
    for cost in costs {
        *cost = (-(*cost - least) / (range * temperature)).exp();
    }
}

impl PreRequest for Router {
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects) {
        if let Some(target) = placed.primary() {
            let active = self.active_of(target.id());
            let blocks: Box<[u64]> = placed.field.query.blocks.into();
            {
                let mut counts = active.lock().unwrap_or_else(PoisonError::into_inner);
                for block in &blocks {
                    *counts.entry(*block).or_default() += 1;
                }
            }
            effects.tickets.push(Box::new(InFlight { active, blocks }));
        }
    }
}

impl Keeper for Router {
    fn forget(&self, endpoint: &Endpoint) {
        let mut all = self.active.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(&endpoint.id());
    }
}

/// The blocks of one request in flight.
#[derive(Debug)]
struct InFlight {
    active: Active,
    blocks: Box<[u64]>,
}

impl Ticket for InFlight {}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        for block in &self.blocks {
            if let Some(number) = counts.get_mut(block) {
                *number -= 1;
                if *number == 0 {
                    counts.remove(block);
                }
            }
        }
    }
}
