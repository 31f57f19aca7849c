//! `GET /v1/models`: one list for all pools a host can reach, and model names that stand outside of the body.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use resources::{BackendTarget, Listener};
use serde::Serialize;

use crate::core::PoolView;
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::reply::Reply;

/// What asking for models leads to.
pub(crate) enum Answer {
    Listed(Reply),
    Refused(Refusal),
}

impl Answer {
    pub(crate) fn finish(self, exchange: Box<Exchange>) -> Reply {
        match self {
            Self::Listed(reply) => exchange.answer(reply),
            Self::Refused(refusal) => exchange.refuse(&refusal),
        }
    }
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Entry>,
}

#[derive(Serialize, Clone)]
struct Entry {
    id: Arc<str>,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Arc<str>>,
}

/// Answers `/v1/models` and `/v1/models/{id}`. `None` when no pool is reachable under this host, so
/// that a plain Service behind the path keeps answering for itself.
pub(crate) fn answer(exchange: &Exchange) -> Option<Answer> {
    let pools = reachable(exchange);
    if pools.is_empty() {
        return None;
    }
    let entries = entries(exchange, &pools);
    let Some(id) = requested_id(exchange.parts.uri.path()) else {
        let list = List {
            object: "list",
            data: entries.into_values().collect(),
        };
        return Some(Answer::Listed(json(&list)));
    };
    Some(match entries.get(id.as_str()) {
        Some(entry) => Answer::Listed(json(entry)),
        None => Answer::Refused(Refusal::new(
            Reason::ModelNotFound,
            format!("the model \"{id}\" is not served here; GET /v1/models lists those that are"),
        )),
    })
}

/// Pools that some route of a listener for this host leads to.
fn reachable(exchange: &Exchange) -> Vec<&PoolView> {
    let host = bare_host(exchange.host());
    let serves = |listener: &&Listener| {
        listener.port == exchange.door.port
            && listener
                .hostname
                .as_ref()
                .is_none_or(|name| name.matches(host))
    };
    let mut names = std::collections::BTreeSet::new();
    for listener in exchange.view.snapshot.listeners.iter().filter(serves) {
        for attached in &listener.routes {
            if !attached.hostnames.is_empty()
                && !attached.hostnames.iter().any(|name| name.matches(host))
            {
                continue;
            }
            for backend in attached.route.rules.iter().flat_map(|rule| &rule.backends) {
                if let BackendTarget::Pool(pool) = &backend.target {
                    names.insert(&pool.name);
                }
            }
        }
    }
    names
        .into_iter()
        .filter_map(|name| exchange.view.pools.get(name))
        .collect()
}

/// Host without port and IPv6 brackets.
fn bare_host(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// The union of what pods serve, what rewrites name exactly, and what the adapter mapping names.
fn entries(exchange: &Exchange, pools: &[&PoolView]) -> BTreeMap<Arc<str>, Entry> {
    let base_models = &exchange.view.snapshot.base_models;
    let mut entries = BTreeMap::new();
    let mut add = |id: Arc<str>| {
        let parent = base_models
            .base_of(&id)
            .filter(|base| ***base != *id)
            .cloned();
        let entry = Entry {
            id: id.clone(),
            object: "model",
            created: 0,
            owned_by: "plimsoll",
            parent,
        };
        entries.entry(id).or_insert(entry);
    };
    for pool in pools {
        for endpoint in &pool.state.endpoints.current().endpoints {
            endpoint
                .signals()
                .models()
                .iter()
                .cloned()
                .for_each(&mut add);
        }
        pool.resource
            .model_names()
            .map(Arc::from)
            .for_each(&mut add);
    }
    for (model, _) in base_models.names() {
        add(model.clone());
    }
    entries
}

/// The id in `/v1/models/{id}`. The id may hold slashes, escaped (`%2F`) or not: SDK versions differ.
fn requested_id(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/models")?;
    let id = rest.strip_prefix('/')?.trim_end_matches('/');
    (!id.is_empty()).then(|| percent_decode(id))
}

/// Undoes percent-encoding; invalid sequences stay as they are.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A model named by the path, as hosted APIs do: `/models/{m}:verb` (Gemini, Vertex AI), `/model/{m}/invoke…`
/// and `/converse…` (Bedrock), `/deployments/{m}/…` (Azure); else by the configured request header.
pub(crate) fn named_outside_body(exchange: &Exchange) -> Option<Arc<str>> {
    let path = exchange.parts.uri.path();
    let in_path = in_segment(path, "/models/", |rest| {
        rest.split_once(':').map(|(model, _)| model)
    })
    .or_else(|| {
        in_segment(path, "/model/", |rest| {
            rest.rsplit_once('/')
                .filter(|(_, verb)| verb.starts_with("invoke") || verb.starts_with("converse"))
                .map(|(model, _)| model)
        })
    })
    .or_else(|| {
        in_segment(path, "/deployments/", |rest| {
            rest.split_once('/').map(|(model, _)| model)
        })
    });
    if let Some(model) = in_path {
        return Some(percent_decode(model).into());
    }
    let header = exchange.core.settings().model_header.as_ref()?;
    exchange
        .parts
        .headers
        .get(header)?
        .to_str()
        .ok()
        .filter(|model| !model.is_empty())
        .map(Arc::from)
}

fn in_segment<'p>(
    path: &'p str,
    marker: &str,
    model: impl Fn(&'p str) -> Option<&'p str>,
) -> Option<&'p str> {
    let (_, rest) = path.split_once(marker)?;
    model(rest).filter(|model| !model.is_empty())
}

fn json(value: &impl Serialize) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let body = serde_json::to_vec(value)
        .map(Bytes::from)
        .unwrap_or_default();
    Reply {
        status: StatusCode::OK,
        headers,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_in_paths_may_hold_slashes_escaped_or_not() {
        for (path, id) in [
            ("/v1/models", None),
            ("/v1/models/", None),
            ("/v1/models/llama", Some("llama")),
            ("/v1/models/org/model", Some("org/model")),
            ("/v1/models/org%2Fmodel", Some("org/model")),
            ("/v1/models/100%", Some("100%")),
        ] {
            assert_eq!(requested_id(path).as_deref(), id, "{path}");
        }
    }

    #[test]
    fn hosts_lose_port_and_brackets() {
        for (host, bare) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(bare_host(host), bare);
        }
    }
}
