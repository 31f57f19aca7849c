//! `endpoint-attribute-scorer`: endpoints by an attribute, the lower or the higher the better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attribute::AttributeKey;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<EndpointAttribute>("endpoint-attribute-scorer", Roles::SCORER).alpha();

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    LinearLowerIsBetter,
    LinearHigherIsBetter,
}

/// Where the attribute lies between the ends of a range; endpoints without it get 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointAttribute {
    /// The attribute, such as `GPUUtilization`.
    #[schemars(required)]
    attribute_key: String,
    /// Name of the plugin that brings it, `core-metrics-extractor` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    /// How it becomes a score.
    #[schemars(required)]
    algorithm: Algorithm,
}

/// How it becomes a score.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Algorithm {
    /// Which end is the better one.
    #[serde(rename = "type")]
    #[schemars(required)]
    kind: Option<Direction>,
    /// The range; that of the endpoints given when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    normalization: Option<Normalization>,
}

/// One of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Normalization {
    /// A range given beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_range: Option<FixedRange>,
    /// The range of the endpoints given.
    #[serde(skip_serializing_if = "Option::is_none")]
    adaptive_range: Option<AdaptiveRange>,
}

/// A range given beforehand.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct FixedRange {
    /// Its lower end.
    min: f64,
    /// Its upper end.
    max: f64,
}

/// Takes no parameters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
struct AdaptiveRange {}

#[derive(Debug)]
struct Linear {
    key: AttributeKey,
    lower_is_better: bool,
    fixed: Option<(f64, f64)>,
}

impl PluginType for EndpointAttribute {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let producer = self.producer.as_deref();
        let key = AttributeKey::read(&self.attribute_key, producer, "attributeKey", build);
        let Some(direction) = self.algorithm.kind else {
            let message =
                "algorithm.type is required: linear_lower_is_better or linear_higher_is_better";
            build.fault("algorithm.type", message);
            return Instance::default();
        };
        let range = self.algorithm.normalization.unwrap_or_default();
        if range.fixed_range.is_some() && range.adaptive_range.is_some() {
            let message = "takes at most one normalization strategy, fixedRange or adaptiveRange";
            build.fault("algorithm.normalization", message);
        }
        let fixed = range.fixed_range.map(|range| (range.min, range.max));
        if let Some((least, most)) = fixed {
            let path = "algorithm.normalization.fixedRange.min";
            build.require(least < most, path, least, "below fixedRange.max");
        }
        Instance::scorer(Linear {
            key,
            lower_is_better: direction == Direction::LinearLowerIsBetter,
            fixed,
        })
    }
}

impl Linear {
    fn range(&self, field: &Field<'_>, kept: &[u32]) -> (f64, f64) {
        self.fixed.unwrap_or_else(|| {
            let values = kept
                .iter()
                .filter_map(|&index| self.key.value(field, index));
            values.fold(
                (f64::INFINITY, f64::NEG_INFINITY),
                |(least, most), value| (least.min(value), most.max(value)),
            )
        })
    }
}

impl Scorer for Linear {
    fn reads(&self) -> Reads {
        Reads::SCALARS
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let (least, most) = self.range(field, kept);
        for (out, &index) in out.iter_mut().zip(kept) {
            let Some(value) = self.key.value(field, index) else {
                continue;
            };
            if most <= least {
                *out = 1.0;
                continue;
            }
            let place = ((value - least) / (most - least)).clamp(0.0, 1.0);
            *out = if self.lower_is_better {
                1.0 - place
            } else {
                place
            } as f32;
        }
    }
}
