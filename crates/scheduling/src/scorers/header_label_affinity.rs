//! `header-label-affinity-scorer`: endpoints whose label is what a request header says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<HeaderLabelAffinity>("header-label-affinity-scorer", Roles::SCORER).alpha();

/// 1 where the label equals the header's value, 0 elsewhere and without the header.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HeaderLabelAffinity {
    /// The request header, in any case.
    #[schemars(required)]
    header_name: String,
    /// The pod label.
    #[schemars(required)]
    label_key: String,
}

impl PluginType for HeaderLabelAffinity {
    fn build(mut self, build: &mut Build<'_>) -> Instance {
        if !build.has_parameters() {
            build.fault("", "requires parameters: headerName and labelKey");
            return Instance::default();
        }
        self.header_name = self.header_name.trim().to_ascii_lowercase();
        if self.header_name.is_empty() {
            build.fault("headerName", "headerName is required");
        }
        if self.label_key.is_empty() {
            build.fault("labelKey", "labelKey is required");
        }
        Instance::scorer(self)
    }
}

impl Scorer for HeaderLabelAffinity {
    fn reads(&self) -> Reads {
        Reads::HEADERS | Reads::LABELS
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let Some(wanted) = field.query.headers.get(&self.header_name) else {
            return;
        };
        for (out, &index) in out.iter_mut().zip(kept) {
            *out = f32::from(u8::from(
                field.label(index, &self.label_key) == Some(wanted),
            ));
        }
    }
}
