//! The headers that tell a decoding pod who prefills and encodes for it.

use std::sync::Arc;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Placed, PreRequest};

const PREFILLER: HeaderName = HeaderName::from_static("x-prefiller-host-port");
const ENCODERS: HeaderName = HeaderName::from_static("x-encoder-hosts-ports");

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<DisaggHeaders>("disagg-headers-handler", Roles::PRE_REQUEST)
        .deprecated("disagg-profile-handler sets the headers itself"),
    Kind::new::<DisaggHeaders>("prefill-header-handler", Roles::PRE_REQUEST)
        .reporting("disagg-headers-handler")
        .deprecated("disagg-profile-handler sets the headers itself"),
];

/// Names of the profiles whose choices go into headers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DisaggHeaders {
    /// Profile of the endpoint that prefills.
    prefill_profile: String,
    /// Profile of the endpoints that encode.
    encode_profile: String,
}

impl Default for DisaggHeaders {
    fn default() -> Self {
        Self {
            prefill_profile: "prefill".to_owned(),
            encode_profile: "encode".to_owned(),
        }
    }
}

impl PluginType for DisaggHeaders {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let headers = StageHeaders {
            prefill: self.prefill_profile.into(),
            encode: self.encode_profile.into(),
        };
        Instance {
            placed: Some(Arc::new(headers)),
            ..Instance::default()
        }
    }
}

/// Removes what the client sent in these headers, and names the endpoints that were chosen: the
/// first to prefill, all to encode.
#[derive(Debug)]
pub(super) struct StageHeaders {
    pub(super) prefill: Arc<str>,
    pub(super) encode: Arc<str>,
}

impl PreRequest for StageHeaders {
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects) {
        effects.remove(&PREFILLER);
        effects.remove(&ENCODERS);
        if let Some(target) = placed.target(&self.prefill) {
            effects.set(&PREFILLER, &target.address().to_string());
        }
        let encode = placed.profiles.iter().position(|name| *name == self.encode);
        let chosen = encode.and_then(|at| placed.ran[at].decision());
        if let Some(decision) = chosen {
            let addresses = decision.targets().iter().map(|choice| choice.address);
            let list: Vec<String> = addresses.map(|address| address.to_string()).collect();
            effects.set(&ENCODERS, &list.join(","));
        }
    }
}
