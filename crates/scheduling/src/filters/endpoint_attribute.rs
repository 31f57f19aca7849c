//! `endpoint-attribute-filter`: endpoints whose attribute is above or below a threshold.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attribute::AttributeKey;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads};

pub(super) const KIND: Kind =
    Kind::new::<EndpointAttribute>("endpoint-attribute-filter", Roles::FILTER).alpha();

/// What happens to endpoints without the attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum OnMissing {
    /// They are kept.
    #[default]
    Pass,
    /// They are dropped.
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Operator {
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    Equal,
    NotEqual,
}

/// Keeps endpoints whose attribute compares as asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointAttribute {
    /// The attribute, such as `GPUUtilization`.
    #[schemars(required)]
    attribute: String,
    /// Name of the plugin that brings it, `core-metrics-extractor` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    /// What happens to endpoints without it.
    on_missing: OnMissing,
    /// Keep all endpoints rather than none.
    fallback_on_empty: bool,
    /// How it is compared.
    #[schemars(required)]
    algorithm: Algorithm,
}

/// How it is compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Algorithm {
    /// `threshold`.
    #[serde(rename = "type")]
    #[schemars(required)]
    kind: String,
    /// For `threshold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<Threshold>,
}

/// A comparison.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Threshold {
    /// The operator: attribute OPERATOR value.
    #[schemars(required)]
    operator: Option<Operator>,
    /// The value.
    #[schemars(required)]
    value: Option<f64>,
}

#[derive(Debug)]
struct Comparison {
    key: AttributeKey,
    operator: Operator,
    value: f64,
    keep_missing: bool,
    fallback: bool,
}

impl PluginType for EndpointAttribute {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let key = AttributeKey::read(
            &self.attribute,
            self.producer.as_deref(),
            "attribute",
            build,
        );
        if self.algorithm.kind != "threshold" {
            let message = format!(
                "algorithm.type is '{}', want threshold",
                self.algorithm.kind
            );
            build.fault("algorithm.type", message);
        }
        let Some(Threshold { operator, value }) = self.algorithm.threshold else {
            let message = "algorithm.threshold is required, with operator and value";
            build.fault("algorithm.threshold", message);
            return Instance::default();
        };
        if operator.is_none() {
            let message = "algorithm.threshold.operator is required: LessThan, LessThanOrEqual, GreaterThan, GreaterThanOrEqual, Equal or NotEqual";
            build.fault("algorithm.threshold.operator", message);
        }
        if value.is_none() {
            let message = "algorithm.threshold.value is required";
            build.fault("algorithm.threshold.value", message);
        }
        let (Some(operator), Some(value)) = (operator, value) else {
            return Instance::default();
        };
        Instance::filter(Comparison {
            key,
            operator,
            value,
            keep_missing: self.on_missing == OnMissing::Pass,
            fallback: self.fallback_on_empty,
        })
    }
}

impl Filter for Comparison {
    fn reads(&self) -> Reads {
        Reads::SCALARS
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let fits = |&index: &u32| {
            let Some(value) = self.key.value(field, index) else {
                return self.keep_missing;
            };
            match self.operator {
                Operator::LessThan => value < self.value,
                Operator::LessThanOrEqual => value <= self.value,
                Operator::GreaterThan => value > self.value,
                Operator::GreaterThanOrEqual => value >= self.value,
                Operator::Equal => value == self.value,
                Operator::NotEqual => value != self.value,
            }
        };
        if !self.fallback || kept.iter().any(fits) {
            kept.retain(fits);
        }
    }
}
