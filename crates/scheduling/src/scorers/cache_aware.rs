//! `cache-aware-scorer`: the rule of SGLang's router. Requests follow their prefix while the fleet
//! is in balance, and go to the shortest queue when it is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::Endpoint;

use crate::cost::costs_to_scores;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Keeper, Placed, PreRequest, Reads, Scorer, SourceId};

pub(super) const KIND: Kind =
    Kind::new::<CacheAware>("cache-aware-scorer", Roles::SCORER.and(Roles::PRE_REQUEST)).ours();

/// Out of balance (most − least requests above one bound, and most above so many times least): the
/// fewest requests win. In balance: the best match if it covers enough of the prompt, else the
/// endpoint that was given the fewest tokens so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CacheAware {
    /// Share of the prompt that a match must cover, in [0, 1].
    cache_threshold: f32,
    /// Requests by which most and least may differ.
    balance_abs_threshold: u64,
    /// How many times least most may be, 1 or more.
    balance_rel_threshold: f32,
}

impl Default for CacheAware {
    fn default() -> Self {
        Self {
            cache_threshold: 0.5,
            balance_abs_threshold: 32,
            balance_rel_threshold: 1.1,
        }
    }
}

#[derive(Debug)]
struct Router {
    parameters: CacheAware,
    /// Blocks that each endpoint was given and did not hold before.
    trees: Mutex<HashMap<u32, u64>>,
}

impl PluginType for CacheAware {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let share = self.cache_threshold;
        build.require(
            (0.0..=1.0).contains(&share),
            "cacheThreshold",
            share,
            "in [0, 1]",
        );
        let factor = self.balance_rel_threshold;
        build.require(factor >= 1.0, "balanceRelThreshold", factor, ">= 1");
        let router = Arc::new(Router {
            parameters: self,
            trees: Mutex::default(),
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

impl Scorer for Router {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let requests = |index: u32| field.state(index).load.requests;
        let (mut least, mut most, mut matched) = (u64::MAX, 0, 0.0f32);
        for &index in kept {
            (least, most) = (least.min(requests(index)), most.max(requests(index)));
            matched = matched.max(field.matched_share(SourceId::POOL, index));
        }
        let CacheAware {
            cache_threshold,
            balance_abs_threshold,
            balance_rel_threshold,
        } = self.parameters;
        let apart = most.saturating_sub(least) > balance_abs_threshold
            && most as f32 > balance_rel_threshold * least as f32;
        if apart {
            for (out, &index) in out.iter_mut().zip(kept) {
                *out = requests(index) as f32;
            }
            costs_to_scores(out, 1.0);
        } else if matched > cache_threshold {
            for (out, &index) in out.iter_mut().zip(kept) {
                *out = field.matched_share(SourceId::POOL, index);
            }
        } else {
            let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            for (out, &index) in out.iter_mut().zip(kept) {
                let id = field.endpoints[index as usize].id();
                *out = trees.get(&id).copied().unwrap_or(0) as f32;
            }
            costs_to_scores(out, 1.0);
        }
    }
}

impl PreRequest for Router {
    fn placed(&self, placed: &Placed<'_>, _: &mut Effects) {
        let chosen = placed.ran[placed.primary].decision();
        if let Some(choice) = chosen.and_then(|decision| decision.ranked.first()) {
            let blocks = placed.field.query.blocks.len() as u64;
            let fresh = blocks.saturating_sub(u64::from(choice.matched_blocks));
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            *trees.entry(choice.endpoint.id()).or_default() += fresh;
        }
    }
}

impl Keeper for Router {
    fn forget(&self, endpoint: &Endpoint) {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.remove(&endpoint.id());
    }
}
