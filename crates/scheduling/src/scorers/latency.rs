//! `latency-scorer`: endpoints by predicted latencies against what the request allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Prediction, Reads, Scorer, SourceId};

pub(super) const KIND: Kind = Kind::new::<LatencyParameters>("latency-scorer", Roles::SCORER);

/// Headrooms closer together than this are the same, in milliseconds.
const SAME: f32 = 1e-9;

/// Endpoints that are expected to be fast enough come first, tightly packed or spread as asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LatencyParameters {
    /// Weight of the time to first token.
    ttft_weight: f32,
    /// Weight of the time per token after it.
    tpot_weight: f32,
    /// `least`: the endpoint that is just fast enough; `most`: the fastest.
    headroom_selection_strategy: String,
    /// Weight of free KV space, when there are no predictions.
    #[serde(rename = "compositeKVWeight")]
    composite_kv_weight: f32,
    /// Weight of a short queue, when there are no predictions.
    composite_queue_weight: f32,
    /// Weight of matching blocks, when there are no predictions.
    composite_prefix_weight: f32,
    /// Name of the producer of latencies; the usual one when empty.
    latency_prediction_info_producer_name: String,
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
}

impl Default for LatencyParameters {
    fn default() -> Self {
        Self {
            ttft_weight: 0.8,
            tpot_weight: 0.2,
            headroom_selection_strategy: "least".to_owned(),
            composite_kv_weight: 1.0,
            composite_queue_weight: 1.0,
            composite_prefix_weight: 1.0,
            latency_prediction_info_producer_name: String::new(),
            prefix_match_info_producer_name: String::new(),
        }
    }
}

#[derive(Debug)]
struct Latency {
    /// Of the two latencies.
    weights: [f32; 2],
    most: bool,
    /// Of KV space, queue and prefix.
    composite: [f32; 3],
    source: SourceId,
}

impl PluginType for LatencyParameters {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let strategy = self.headroom_selection_strategy.as_str();
        if !matches!(strategy, "" | "least" | "most") {
            let message = format!("'{strategy}' is neither least nor most, so least is used");
            build.warn("headroomSelectionStrategy", message);
        }
        let latency = Latency {
            weights: shares([self.ttft_weight, self.tpot_weight], [1.0, 0.0]),
            most: strategy == "most",
            composite: shares(
                [
                    self.composite_kv_weight,
                    self.composite_queue_weight,
                    self.composite_prefix_weight,
                ],
                [1.0, 0.0, 0.0],
            ),
            source: build.prefix_source(&self.prefix_match_info_producer_name),
        };
        Instance::scorer(latency)
            .needing(Data::Latency, &self.latency_prediction_info_producer_name)
            .needing(Data::PrefixMatch, &self.prefix_match_info_producer_name)
            .needing(Data::CoreMetrics, "")
    }
}

/// Divides weights by their sum.
fn shares<const N: usize>(weights: [f32; N], otherwise: [f32; N]) -> [f32; N] {
    let sum: f32 = weights.iter().sum();
    if sum > 0.0 {
        weights.map(|weight| weight / sum)
    } else {
        otherwise
    }
}

/// How an endpoint stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bucket {
    Fast,
    Idle,
    SlowTokens,
    SlowStart,
    Slow,
}

fn bucket(prediction: Option<&Prediction>) -> Bucket {
    let Some(known) = prediction else {
        return Bucket::Fast;
    };
    match (known.ttft_headroom_ms >= 0.0, known.tpot_headroom_ms >= 0.0) {
        (true, true) => Bucket::Fast,
        _ if known.dispatched == 0 => Bucket::Idle,
        (true, false) => Bucket::SlowTokens,
        (false, true) => Bucket::SlowStart,
        (false, false) => Bucket::Slow,
    }
}

/// What one run needs to know of the best bucket.
struct Ranges {
    ttft: (f32, f32),
    tpot: (f32, f32),
}

fn headrooms(prediction: Option<&Prediction>) -> (f32, f32) {
    prediction.map_or((0.0, 0.0), |known| {
        (known.ttft_headroom_ms.abs(), known.tpot_headroom_ms.abs())
    })
}

impl Latency {
    /// Without predictions: free KV space, queue and prefix, to hundredths.
    fn composite(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let waiting = |index: u32| field.state(index).signals.scraped.waiting;
        let longest = kept.iter().map(|&index| waiting(index)).max().unwrap_or(0);
        let [kv, queue, prefix] = self.composite;
        for (out, &index) in out.iter_mut().zip(kept) {
            let free = 1.0 - field.state(index).signals.scraped.kv_usage;
            let short = if longest == 0 {
                1.0
            } else {
                (longest - waiting(index)) as f32 / longest as f32
            };
            let matched = field.matched_share(self.source, index);
            *out = (100.0 * (kv * free + queue * short + prefix * matched)).round() / 100.0;
        }
    }

    fn rate(&self, ranges: &Ranges, most: bool, headroom: (f32, f32)) -> f32 {
        let spread = |(least, most): (f32, f32)| most - least > SAME;
        let place = |value: f32, range: (f32, f32)| {
            if spread(range) {
                (value - range.0) / (range.1 - range.0)
            } else {
                0.5
            }
        };
        let [ttft, tpot] = match (spread(ranges.ttft), spread(ranges.tpot)) {
            (true, false) => [1.0, 0.0],
            (false, true) => [0.0, 1.0],
            _ => self.weights,
        };
        let combined =
            ttft * place(headroom.0, ranges.ttft) + tpot * place(headroom.1, ranges.tpot);
        let rated = if most { combined } else { 1.0 - combined };
        ((rated * 100.0).trunc() + 1.0) / 100.0
    }
}

impl Scorer for Latency {
    fn reads(&self) -> Reads {
        Reads::LATENCY | Reads::KV | Reads::QUEUE | Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let prediction = |index: u32| field.findings.prediction(index);
        if !kept.iter().any(|&index| prediction(index).is_some()) {
            self.composite(field, kept, out);
            return;
        }
        let order = [
            Bucket::Fast,
            Bucket::Idle,
            Bucket::SlowTokens,
            Bucket::SlowStart,
            Bucket::Slow,
        ];
        let bucket_of = |index: u32| bucket(prediction(index));
        let best = order
            .into_iter()
            .find(|wanted| kept.iter().any(|&index| bucket_of(index) == *wanted));
        let Some(best) = best else { return };
        let empty = (f32::INFINITY, f32::NEG_INFINITY);
        let mut ranges = Ranges {
            ttft: empty,
            tpot: empty,
        };
        let widen = |(least, most): (f32, f32), value: f32| (least.min(value), most.max(value));
        for &index in kept.iter().filter(|index| bucket_of(**index) == best) {
            let (ttft, tpot) = headrooms(prediction(index));
            ranges.ttft = widen(ranges.ttft, ttft);
            ranges.tpot = widen(ranges.tpot, tpot);
        }
        // A deficit is best when it is least, whatever the strategy.
        let most = self.most && best == Bucket::Fast;
        for (out, &index) in out.iter_mut().zip(kept) {
            if bucket_of(index) == best {
                *out = self.rate(&ranges, most, headrooms(prediction(index)));
            }
        }
    }
}
