//! Session affinity: requests of one session go to one endpoint. One engine, used as a filter and
//! as a scorer.
//!
//! Either the client carries the name of its endpoint in a header that the first answer gave it,
//! or the session has an id and the picker remembers where it went.

mod bindings;
mod token;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::{Endpoint, Time};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{
    Effects, Field, Filter, Flight, HeaderChange, HeaderChanges, Keeper, Placed, PreRequest, Reads,
    ResponseHeaders, Scorer, Slot,
};
use bindings::{Bindings, SessionKey};
use token::token_of;

const ROLES: Roles = Roles::PRE_REQUEST.and(Roles::RESPONSE);

pub(crate) const KINDS: &[Kind] = &[
    Kind::new::<SessionAffinity>("session-affinity-filter", Roles::FILTER.and(ROLES)).alpha(),
    Kind::new::<SessionAffinity>(
        "multicluster-session-affinity-filter",
        Roles::FILTER.and(ROLES),
    )
    .alpha(),
    Kind::new::<SessionAffinity>("session-affinity-scorer", Roles::SCORER.and(ROLES)).alpha(),
];

/// How a session is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    /// The client carries its endpoint's name in a header.
    #[default]
    EncodedEndpointHeader,
    /// The session has an id.
    SessionId,
}

/// Where a session's id is found, or which header carries its endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SessionAffinity {
    /// How a session is known.
    strategy: Strategy,
    /// For `encoded_endpoint_header`.
    encoded_endpoint_header_config: EncodedHeader,
    /// For `session_id`.
    session_id_config: SessionIds,
    /// The profile whose choice counts; that of the endpoint which gets the request when empty.
    profile_name: String,
}

/// Which header carries the endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct EncodedHeader {
    /// The header, in any case; `x-session-token` when blank.
    header: String,
}

/// Where ids are found, and how long they are remembered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct SessionIds {
    /// Looked at in this order; the header `x-session-id` when empty.
    sources: Vec<IdSource>,
    /// Seconds after its last request for which a session is remembered.
    eviction_ttl_seconds: f64,
    /// Seconds between two looks for forgotten sessions.
    eviction_sweep_seconds: f64,
    /// Most sessions remembered. An extension of ours.
    max_sessions: usize,
}

impl Default for SessionIds {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            eviction_ttl_seconds: 300.0,
            eviction_sweep_seconds: 10.0,
            max_sessions: 1_000_000,
        }
    }
}

/// A header or an attribute.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct IdSource {
    /// The header, in any case.
    #[serde(skip_serializing_if = "String::is_empty")]
    header: String,
    /// The fact about the request, such as `agent-identity`.
    #[serde(skip_serializing_if = "String::is_empty")]
    attribute: String,
    /// Name of the plugin that finds it; any when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    producer: String,
}

#[derive(Debug)]
enum Source {
    Header(String),
    Attribute { key: String, producer: String },
}

#[derive(Debug)]
enum Way {
    Header(HeaderName),
    Id {
        sources: Vec<Source>,
        bindings: Arc<Bindings>,
    },
}

#[derive(Debug)]
struct Affinity {
    way: Way,
    profile: String,
    slot: Slot,
}

impl PluginType for SessionAffinity {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let way = match self.strategy {
            Strategy::EncodedEndpointHeader => {
                header_way(&self.encoded_endpoint_header_config, build)
            }
            Strategy::SessionId => id_way(self.session_id_config, build),
        };
        let affinity = Arc::new(Affinity {
            way,
            profile: self.profile_name,
            slot: build.slot(),
        });
        let by_id = matches!(affinity.way, Way::Id { .. });
        let is_scorer = build.kind() == "session-affinity-scorer";
        Instance {
            filter: (!is_scorer).then(|| affinity.clone() as Arc<dyn Filter>),
            scorer: is_scorer.then(|| affinity.clone() as Arc<dyn Scorer>),
            placed: by_id.then(|| affinity.clone() as Arc<dyn PreRequest>),
            answered: (!by_id).then(|| affinity.clone() as Arc<dyn ResponseHeaders>),
            keeper: Some(affinity),
            ..Instance::default()
        }
    }
}

fn header_way(config: &EncodedHeader, build: &mut Build<'_>) -> Way {
    let name = config.header.trim().to_ascii_lowercase();
    let name = if name.is_empty() {
        "x-session-token"
    } else {
        &name
    };
    let header = HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| {
        let message = format!("'{name}' is not the name of a header");
        build.fault("encodedEndpointHeaderConfig.header", message);
        HeaderName::from_static("x-session-token")
    });
    Way::Header(header)
}

fn id_way(config: SessionIds, build: &mut Build<'_>) -> Way {
    let mut sources = Vec::new();
    for (index, source) in config.sources.into_iter().enumerate() {
        let path = format!("sessionIdConfig.sources[{index}]");
        let header = source.header.trim().to_ascii_lowercase();
        match (header.is_empty(), source.attribute.is_empty()) {
            (false, true) => sources.push(Source::Header(header)),
            (true, false) => sources.push(Source::Attribute {
                key: source.attribute,
                producer: source.producer,
            }),
            _ => build.fault(&path, "exactly one of header and attribute is required"),
        }
    }
    if sources.is_empty() {
        sources.push(Source::Header("x-session-id".to_owned()));
    }
    let ttl = config.eviction_ttl_seconds;
    let path = "sessionIdConfig.evictionTtlSeconds";
    build.require(ttl > 0.0, path, ttl, "> 0");
    let sweep = config.eviction_sweep_seconds;
    let path = "sessionIdConfig.evictionSweepSeconds";
    build.require(sweep > 0.0, path, sweep, "> 0");
    Way::Id {
        sources,
        bindings: Arc::new(Bindings::new(ttl, sweep, config.max_sessions)),
    }
}

/// Noted when a session's endpoint was not among those to choose from.
const MISSING: u64 = 1;

impl Affinity {
    fn session(sources: &[Source], field: &Field<'_>) -> Option<SessionKey> {
        let mut texts = sources.iter().filter_map(|source| match source {
            Source::Header(name) => field.query.headers.get(name),
            Source::Attribute { key, producer } => {
                let value = field.findings.attribute(key, producer).map(str::trim);
                value.filter(|value| !value.is_empty())
            }
        });
        texts.next().map(SessionKey::of)
    }

    /// The place in `kept` of the session's endpoint.
    fn place(&self, field: &Field<'_>, kept: &[u32]) -> Option<usize> {
        let endpoint = |index: u32| &field.endpoints[index as usize];
        match &self.way {
            Way::Header(name) => {
                let text = field.query.headers.get(name.as_str())?;
                let wanted = STANDARD.decode(text).ok()?;
                kept.iter()
                    .position(|&index| token_of(endpoint(index)).as_bytes() == wanted)
            }
            Way::Id { sources, bindings } => {
                let key = Self::session(sources, field)?;
                let bound = bindings.endpoint_of(key, field.now)?;
                let place = kept.iter().position(|&index| endpoint(index).id() == bound);
                if place.is_none() {
                    field.findings.set_note(self.slot, MISSING);
                }
                place
            }
        }
    }
}

impl Filter for Affinity {
    fn reads(&self) -> Reads {
        Reads::HEADERS
    }

    /// Keeps the session's endpoint, or all when there is none.
    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        if let Some(place) = self.place(field, kept) {
            *kept = vec![kept[place]];
        }
    }
}

impl Scorer for Affinity {
    fn reads(&self) -> Reads {
        Reads::HEADERS
    }

    /// 1 for the session's endpoint, 0 for the others.
    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        if let Some(place) = self.place(field, kept) {
            out[place] = 1.0;
        }
    }
}

impl PreRequest for Affinity {
    /// Remembers where the session goes. A session that has an endpoint keeps it, unless that one
    /// could not be chosen for this very request.
    fn placed(&self, placed: &Placed<'_>, _: &mut Effects) {
        let Way::Id { sources, bindings } = &self.way else {
            return;
        };
        let target = if self.profile.is_empty() {
            placed.primary()
        } else {
            placed.target(&self.profile)
        };
        if let (Some(target), Some(key)) = (target, Self::session(sources, placed.field)) {
            let missing = placed.field.findings.note(self.slot) == MISSING;
            bindings.bind(key, target.id(), missing, placed.field.now);
        }
    }
}

impl ResponseHeaders for Affinity {
    fn answered(&self, flight: &Flight, served: &Endpoint, _: Time, out: &mut HeaderChanges) {
        let Way::Header(name) = &self.way else {
            return;
        };
        let text = if self.profile.is_empty() {
            Some(token_of(served))
        } else {
            flight.target(&self.profile).map(|target| token_of(target))
        };
        let encoded = text.map(|text| STANDARD.encode(text.as_bytes()));
        let value = encoded.and_then(|text| HeaderValue::from_str(&text).ok());
        if let Some(value) = value {
            out.push(HeaderChange {
                name: name.clone(),
                value: Some(value),
            });
        }
    }
}

impl Keeper for Affinity {
    fn forget(&self, endpoint: &Endpoint) {
        if let Way::Id { bindings, .. } = &self.way {
            bindings.forget(endpoint.id());
        }
    }
}
