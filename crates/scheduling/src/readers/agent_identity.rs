//! `agent-identity`: which agent or session a request belongs to, by headers that agents send.

use std::sync::Arc;

use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hooks::Attribute;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{HeaderReader, RequestHeaders};

/// What the fact is called.
pub(crate) const AGENT_IDENTITY: &str = "agent-identity";

/// Headers of well-known agents, in order of preference.
const USUAL: [&str; 4] = [
    "x-claude-code-session-id",
    "x-session-affinity",
    "session-id",
    "session_id",
];

pub(super) const KIND: Kind = Kind::new::<AgentIdentity>(AGENT_IDENTITY, Roles::HEADERS).alpha();

/// The first header that is there becomes the identity.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AgentIdentity {
    /// Headers to look at before the usual ones.
    additional_session_headers: Vec<String>,
}

#[derive(Debug)]
struct Reader {
    headers: Vec<String>,
}

impl PluginType for AgentIdentity {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let own = self.additional_session_headers.into_iter();
        let own = own.map(|name| name.trim().to_ascii_lowercase());
        let usual = USUAL.into_iter().map(str::to_owned);
        let headers = own.chain(usual).filter(|name| !name.is_empty()).collect();
        Instance {
            headers: Some(Arc::new(Reader { headers })),
            ..Instance::default()
        }
    }
}

impl HeaderReader for Reader {
    fn read(&self, headers: &HeaderMap) -> Option<Attribute> {
        let headers = RequestHeaders(Some(headers));
        let value = self.headers.iter().find_map(|name| headers.get(name))?;
        Some(Attribute {
            key: AGENT_IDENTITY,
            producer: "".into(),
            value: value.into(),
        })
    }
}
