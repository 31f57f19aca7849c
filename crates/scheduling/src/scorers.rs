//! Scorers, one a file.

mod active_request;
mod aibrix_prefix;
mod cache_aware;
mod consistent_hash;
mod context_length_aware;
mod dynamo;
mod endpoint_attribute;
mod header_label_affinity;
mod kv_cache_utilization;
mod latency;
mod lmetric;
mod load_aware;
mod lora_affinity;
mod min_cost;
mod mm_embeddings_cache;
mod multicluster;
mod no_hit_lru;
mod preble;
mod prefix_cache;
mod queue;
mod running_requests;
mod token_load;
mod topology_affinity;

pub(crate) use kv_cache_utilization::KvCacheUtilization;
pub(crate) use lora_affinity::LoraAffinity;
pub(crate) use min_cost::MinCost;
pub(crate) use prefix_cache::{Match as PrefixMatch, prefix_match};
pub(crate) use queue::Queue;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::{Gauges, Signals};

use crate::{EndpointState, Field, Kind};

pub(crate) const KINDS: &[&[Kind]] = &[
    &[
        active_request::KIND,
        aibrix_prefix::KIND,
        cache_aware::KIND,
        consistent_hash::KIND,
        dynamo::KIND,
        context_length_aware::KIND,
        endpoint_attribute::KIND,
        header_label_affinity::KIND,
        kv_cache_utilization::KIND,
        latency::KIND,
        lmetric::KIND,
        load_aware::KIND,
        preble::KIND,
        lora_affinity::KIND,
        min_cost::KIND,
        mm_embeddings_cache::KIND,
        no_hit_lru::KIND,
        queue::KIND,
        running_requests::KIND,
        token_load::KIND,
        topology_affinity::KIND,
    ],
    multicluster::KINDS,
    prefix_cache::KINDS,
];

/// Which reading of the gauges a scorer uses. An extension of ours; upstream only knows the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reading {
    /// As scraped, however old; zero before the first scrape.
    #[default]
    Scraped,
    /// With our own traffic since the scrape added. An endpoint with stale gauges gets the mean
    /// score of the others: knowing nothing speaks neither for nor against it.
    Corrected,
}

/// Parameters of the scorers over scraped gauges.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GaugeParameters {
    /// Which reading of the gauges counts.
    pub(crate) gauges: Reading,
}

impl Reading {
    fn of(self, signals: &Signals) -> Gauges {
        match self {
            Reading::Scraped => signals.scraped,
            Reading::Corrected => signals.corrected,
        }
    }

    fn knows(self, state: &EndpointState) -> bool {
        self == Reading::Scraped || state.signals.fresh
    }

    /// `(max − v) / (max − min)` over the endpoints given, 1 for all when they are equal.
    fn score_relative(
        self,
        field: &Field<'_>,
        kept: &[u32],
        out: &mut [f32],
        value: impl Fn(Gauges) -> u32,
    ) {
        let (mut least, mut most) = (u32::MAX, 0);
        for state in kept.iter().map(|&index| field.state(index)) {
            if self.knows(state) {
                let value = value(self.of(&state.signals));
                (least, most) = (least.min(value), most.max(value));
            }
        }
        if least >= most {
            out.fill(1.0);
            return;
        }
        let range = (most - least) as f32;
        self.score_each(field, kept, out, |gauges| {
            (most - value(gauges)) as f32 / range
        });
    }

    /// Scores each endpoint by its gauges, and those we know nothing about by the mean.
    fn score_each(
        self,
        field: &Field<'_>,
        kept: &[u32],
        out: &mut [f32],
        score: impl Fn(Gauges) -> f32,
    ) {
        let (mut sum, mut known) = (0.0, 0u32);
        for (out, &index) in out.iter_mut().zip(kept) {
            let state = field.state(index);
            if self.knows(state) {
                *out = score(self.of(&state.signals));
                sum += *out;
                known += 1;
            }
        }
        if known as usize == kept.len() {
            return;
        }
        let neutral = if known == 0 { 1.0 } else { sum / known as f32 };
        for (out, &index) in out.iter_mut().zip(kept) {
            if !self.knows(field.state(index)) {
                *out = neutral;
            }
        }
    }
}

#[cfg(test)]
mod tests;
