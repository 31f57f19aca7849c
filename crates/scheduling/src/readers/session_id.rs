//! `session-id-producer`: the session a request belongs to, by a header or a cookie.

use std::sync::Arc;

use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hooks::Attribute;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{HeaderReader, RequestHeaders};

/// What the fact is called.
const SESSION_ID: &str = "SessionIDDataKey";

pub(super) const KIND: Kind =
    Kind::new::<SessionId>("session-id-producer", Roles::PRODUCER.and(Roles::HEADERS));

/// Exactly one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SessionId {
    /// The header, in any case.
    #[serde(skip_serializing_if = "String::is_empty")]
    header_name: String,
    /// The cookie.
    #[serde(skip_serializing_if = "String::is_empty")]
    cookie_name: String,
}

#[derive(Debug)]
enum From {
    Header(String),
    Cookie(String),
}

#[derive(Debug)]
struct Reader {
    name: Arc<str>,
    from: From,
}

impl PluginType for SessionId {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let header = self.header_name.trim().to_ascii_lowercase();
        let cookie = self.cookie_name.trim().to_owned();
        if header.is_empty() == cookie.is_empty() {
            let message = "exactly one of headerName and cookieName is required";
            build.fault("", message);
        }
        let from = if cookie.is_empty() {
            From::Header(header)
        } else {
            From::Cookie(cookie)
        };
        let name = build.name().into();
        Instance {
            headers: Some(Arc::new(Reader { name, from })),
            ..Instance::default()
        }
    }
}

fn cookie<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let all = headers.get_all(http::header::COOKIE).into_iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    let mut cookies = texts.flat_map(|text| text.split(';'));
    cookies.find_map(|cookie| {
        let (name, value) = cookie.split_once('=')?;
        let value = value.trim();
        (name.trim() == wanted && !value.is_empty()).then_some(value)
    })
}

impl HeaderReader for Reader {
    fn read(&self, headers: &HeaderMap) -> Option<Attribute> {
        let value = match &self.from {
            From::Header(name) => RequestHeaders(Some(headers)).get(name),
            From::Cookie(name) => cookie(headers, name),
        }?;
        Some(Attribute {
            key: SESSION_ID,
            producer: Arc::clone(&self.name),
            value: value.into(),
        })
    }
}
