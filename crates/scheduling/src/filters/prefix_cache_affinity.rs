//! `prefix-cache-affinity-filter`: the endpoints that hold most of the prompt, unless they are so
//! busy that another one would answer much sooner.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::draw::happens;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads, SourceId};

pub(super) const KIND: Kind =
    Kind::new::<PrefixCacheAffinity>("prefix-cache-affinity-filter", Roles::FILTER);

/// Where the time to first token comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum TtftSource {
    /// Tokens in flight ÷ `peakPrefillThroughput`.
    #[default]
    PrefillThroughput,
    /// The latency producer.
    LatencyPredictor,
}

/// Keeps the endpoints that hold at least `affinityThreshold` of the prompt ("sticky"), if there
/// are any and the best of them is not more than `maxTTFTPenaltyMs` slower than the best other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PrefixCacheAffinity {
    /// Share of the prompt, at most 1; not above 0: all endpoints are kept.
    affinity_threshold: f64,
    /// Share of requests for which all endpoints are kept, in [0, 1].
    exploration_probability: f64,
    /// Milliseconds; 0: sticky endpoints are kept however slow.
    #[serde(rename = "maxTTFTPenaltyMs")]
    max_ttft_penalty_ms: f64,
    /// Where the time to first token comes from.
    ttft_source: TtftSource,
    /// Tokens per second.
    peak_prefill_throughput: f64,
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
    /// Name of the producer of latencies; the usual one when empty.
    latency_prediction_info_producer_name: String,
    /// Name of the producer of in-flight load; the usual one when empty.
    in_flight_load_producer_name: String,
}

impl Default for PrefixCacheAffinity {
    fn default() -> Self {
        Self {
            affinity_threshold: 0.80,
            exploration_probability: 0.0,
            max_ttft_penalty_ms: 18_000.0,
            ttft_source: TtftSource::PrefillThroughput,
            peak_prefill_throughput: 15_928.0,
            prefix_match_info_producer_name: String::new(),
            latency_prediction_info_producer_name: String::new(),
            in_flight_load_producer_name: String::new(),
        }
    }
}

#[derive(Debug)]
struct Affinity {
    parameters: PrefixCacheAffinity,
    source: SourceId,
}

impl PluginType for PrefixCacheAffinity {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let threshold = self.affinity_threshold;
        build.require(threshold <= 1.0, "affinityThreshold", threshold, "<= 1");
        let share = self.exploration_probability;
        let path = "explorationProbability";
        build.require((0.0..=1.0).contains(&share), path, share, "in [0, 1]");
        let penalty = self.max_ttft_penalty_ms;
        build.require(penalty >= 0.0, "maxTTFTPenaltyMs", penalty, ">= 0");
        let peak = self.peak_prefill_throughput;
        build.require(peak >= 0.0, "peakPrefillThroughput", peak, ">= 0");
        let by_throughput = self.ttft_source == TtftSource::PrefillThroughput;
        let gated = penalty > 0.0;
        if gated && by_throughput && peak == 0.0 {
            let message = "peakPrefillThroughput must be > 0 when maxTTFTPenaltyMs is above 0 and ttftSource is prefillThroughput, got 0";
            build.fault("peakPrefillThroughput", message);
        }
        let source = build.prefix_source(&self.prefix_match_info_producer_name);
        let instance = Instance::filter(Affinity {
            source,
            parameters: self.clone(),
        })
        .needing(Data::PrefixMatch, &self.prefix_match_info_producer_name);
        match (gated, by_throughput) {
            (false, _) => instance,
            (true, true) => {
                instance.needing(Data::InFlightLoad, &self.in_flight_load_producer_name)
            }
            (true, false) => {
                instance.needing(Data::Latency, &self.latency_prediction_info_producer_name)
            }
        }
    }
}

impl Affinity {
    fn ttft_ms(&self, field: &Field<'_>, index: u32) -> f64 {
        match self.parameters.ttft_source {
            TtftSource::LatencyPredictor => {
                let prediction = field.findings.prediction(index);
                prediction.map_or(f64::MAX, |known| f64::from(known.ttft_ms))
            }
            TtftSource::PrefillThroughput => {
                let peak = self.parameters.peak_prefill_throughput;
                field.tokens_in_flight(index) as f64 / peak * 1000.0
            }
        }
    }
}

impl Filter for Affinity {
    fn reads(&self) -> Reads {
        Reads::PREFIX | Reads::LEDGER | Reads::LATENCY
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, rng: &mut dyn Rng) {
        let threshold = self.parameters.affinity_threshold;
        if kept.len() <= 1
            || threshold <= 0.0
            || happens(self.parameters.exploration_probability, rng)
        {
            return;
        }
        let total = field.query.blocks.len() as f64;
        let sticky = |&index: &u32| {
            total > 0.0 && f64::from(field.matched(self.source, index)) / total >= threshold
        };
        let (mut any, mut best, mut best_other) = (false, f64::MAX, f64::INFINITY);
        for index in kept.iter() {
            let ttft = self.ttft_ms(field, *index);
            if sticky(index) {
                any = true;
                best = best.min(ttft);
            } else {
                best_other = best_other.min(ttft);
            }
        }
        let penalty = self.parameters.max_ttft_penalty_ms;
        let too_slow = penalty > 0.0 && best_other.is_finite() && best - best_other > penalty;
        if any && !too_slow {
            kept.retain(sticky);
        }
    }
}
