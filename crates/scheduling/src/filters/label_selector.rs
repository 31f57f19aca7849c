//! `label-selector-filter`: endpoints that a Kubernetes label selector picks.

use std::collections::BTreeMap;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads};

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<LabelSelector>("label-selector-filter", Roles::FILTER),
    Kind::new::<LabelSelector>("by-label-selector", Roles::FILTER)
        .deprecated("use label-selector-filter"),
];

/// Keeps endpoints that fit all of it; an empty selector keeps all.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LabelSelector {
    /// Labels with the value each must have.
    match_labels: BTreeMap<String, String>,
    /// Further conditions.
    match_expressions: Vec<Requirement>,
}

/// A condition on one label.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Requirement {
    /// The label.
    #[schemars(required)]
    key: String,
    /// In, NotIn, Exists or DoesNotExist.
    #[schemars(required)]
    operator: String,
    /// For In and NotIn.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

#[derive(Debug)]
struct Selector {
    labels: BTreeMap<String, String>,
    expressions: Vec<(String, Operator, Vec<String>)>,
}

impl PluginType for LabelSelector {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let mut expressions = Vec::new();
        for (index, requirement) in self.match_expressions.into_iter().enumerate() {
            let path = format!("matchExpressions[{index}]");
            let Requirement {
                key,
                operator,
                values,
            } = requirement;
            let operator = match operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    let message = format!(
                        "'{other}' is not a valid label selector operator, want In, NotIn, Exists or DoesNotExist"
                    );
                    build.fault(&format!("{path}.operator"), message);
                    continue;
                }
            };
            let wants_values = matches!(operator, Operator::In | Operator::NotIn);
            if wants_values == values.is_empty() {
                let message = if wants_values {
                    "is empty, want the values to compare with"
                } else {
                    "must be empty for Exists and DoesNotExist"
                };
                build.fault(&format!("{path}.values"), message);
            }
            expressions.push((key, operator, values));
        }
        Instance::filter(Selector {
            labels: self.match_labels,
            expressions,
        })
    }
}

impl Selector {
    fn fits(&self, field: &Field<'_>, index: u32) -> bool {
        let labels = &field.endpoints[index as usize].identity().labels;
        let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        let holds = |(key, operator, values): &(String, Operator, Vec<String>)| {
            let label = labels.get(key);
            let listed = label.is_some_and(|label| values.contains(label));
            match operator {
                Operator::In => listed,
                Operator::NotIn => !listed,
                Operator::Exists => label.is_some(),
                Operator::DoesNotExist => label.is_none(),
            }
        };
        self.labels.iter().all(equal) && self.expressions.iter().all(holds)
    }
}

impl Filter for Selector {
    fn reads(&self) -> Reads {
        Reads::LABELS
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        kept.retain(|&index| self.fits(field, index));
    }
}
