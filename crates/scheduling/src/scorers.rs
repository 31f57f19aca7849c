//! Scorers, one a file.

mod active_request;
mod kv_cache_utilization;
mod lora_affinity;
mod min_cost;
mod prefix_cache;
mod queue;
mod running_requests;
mod token_load;

pub(crate) use kv_cache_utilization::KvCacheUtilization;
pub(crate) use lora_affinity::LoraAffinity;
pub(crate) use min_cost::MinCost;
pub(crate) use prefix_cache::PrefixCache;
pub(crate) use queue::Queue;

use serde::Deserialize;
use signals::{Gauges, Signals};

use crate::{EndpointState, Factory, Field};

pub(crate) const FACTORIES: &[Factory] = &[
    active_request::FACTORY,
    kv_cache_utilization::FACTORY,
    lora_affinity::FACTORY,
    min_cost::FACTORY,
    prefix_cache::FACTORY,
    queue::FACTORY,
    running_requests::FACTORY,
    token_load::FACTORY,
];

/// Which reading of the gauges a scorer uses. An extension of ours; upstream only knows the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct GaugeParameters {
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
