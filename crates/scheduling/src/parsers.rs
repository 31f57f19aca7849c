//! Parsers of request bodies. They live in the `payload` room; here they only have names.

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::parameterless;
use crate::settings::Setting;

parameterless!(Parser);

impl PluginType for Parser {
    fn build(self, build: &mut Build<'_>) -> Instance {
        Instance::setting(Setting::Parser(build.kind()))
    }
}

const fn parser(name: &'static str) -> Kind {
    Kind::new::<Parser>(name, Roles::PARSER).lenient()
}

pub(crate) const KINDS: &[Kind] = &[
    parser("openai-parser"),
    parser("anthropic-parser"),
    parser("vllmhttp-parser"),
    parser("sglanghttp-parser"),
    parser("vllmgrpc-parser"),
    parser("vertexai-parser"),
    parser("passthrough-parser"),
];

/// The parsers used when none are configured.
pub(crate) const USUAL: [&str; 4] = [
    "openai-parser",
    "anthropic-parser",
    "vllmhttp-parser",
    "passthrough-parser",
];
