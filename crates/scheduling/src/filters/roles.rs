//! `prefill-filter`, `decode-filter`, `encode-filter`: endpoints by the part they play.

use super::by_label::ByLabel;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::parameterless;

/// The label that names the part.
const ROLE: &str = "llm-d.ai/role";

const DECODE: &[&str] = &["decode", "prefill-decode", "both", "encode-prefill-decode"];
const PREFILL: &[&str] = &[
    "prefill",
    "encode-prefill",
    "prefill-decode",
    "both",
    "encode-prefill-decode",
];
const ENCODE: &[&str] = &["encode", "encode-prefill", "encode-prefill-decode"];

const fn role(name: &'static str) -> Kind {
    Kind::new::<Role>(name, Roles::FILTER)
        .reporting("by-label")
        .lenient()
}

pub(super) const KINDS: &[Kind] = &[
    role("decode-filter"),
    role("prefill-filter"),
    role("encode-filter"),
];

parameterless!(Role);

impl PluginType for Role {
    fn build(self, build: &mut Build<'_>) -> Instance {
        // An endpoint that says nothing decodes: it is an ordinary model server.
        let (values, allows_no_label) = match build.kind() {
            "decode-filter" => (DECODE, true),
            "prefill-filter" => (PREFILL, false),
            _ => (ENCODE, false),
        };
        Instance::filter(ByLabel {
            label: ROLE.to_owned(),
            valid_values: values.iter().map(|value| (*value).to_owned()).collect(),
            allows_no_label,
        })
    }
}
