//! `by-label`: endpoints whose label has one of some values.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads};

pub(super) const KIND: Kind =
    Kind::new::<ByLabel>("by-label", Roles::FILTER).deprecated("use label-selector-filter");

/// Keeps endpoints whose label has one of the values, and those without it if allowed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ByLabel {
    /// The label.
    #[schemars(required)]
    pub(super) label: String,
    /// The values.
    pub(super) valid_values: Vec<String>,
    /// Endpoints without the label are kept too.
    pub(super) allows_no_label: bool,
}

impl PluginType for ByLabel {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.label.is_empty() {
            build.fault("label", "label is required, the key of a pod label");
        }
        if self.valid_values.is_empty() && !self.allows_no_label {
            let message = "validValues is empty and allowsNoLabel false, so no endpoint could pass";
            build.fault("validValues", message);
        }
        Instance::filter(self)
    }
}

impl Filter for ByLabel {
    fn reads(&self) -> Reads {
        Reads::LABELS
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        kept.retain(|&index| {
            let label = field.label(index, &self.label);
            let value = label.unwrap_or_default();
            label.is_none() && self.allows_no_label
                || self.valid_values.iter().any(|valid| valid == value)
        });
    }
}
