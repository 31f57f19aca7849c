//! Cross-origin resource sharing as the HTTPRoute filter describes it (GEP-1767, Fetch standard).

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use resources::{Cors, CorsOrigin};

use crate::reply::Reply;

/// The answer to a preflight request; `None` if this is none. An origin that is not allowed gets an answer
/// without CORS headers, which the browser takes as a refusal.
pub(crate) fn preflight(policy: &Cors, parts: &Parts) -> Option<Reply> {
    let asked_method = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(ORIGIN) {
        return None;
    }
    let mut headers = HeaderMap::new();
    if let Some(origin) = allowed_origin(policy, &parts.headers) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        match &policy.methods {
            Some(methods) => insert_list(
                &mut headers,
                ACCESS_CONTROL_ALLOW_METHODS,
                methods.iter().map(Method::as_str),
            ),
            None => drop(headers.insert(ACCESS_CONTROL_ALLOW_METHODS, asked_method.clone())),
        }
        match (
            &policy.headers,
            parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS),
        ) {
            (Some(names), _) => insert_list(
                &mut headers,
                ACCESS_CONTROL_ALLOW_HEADERS,
                names.iter().map(http::HeaderName::as_str),
            ),
            (None, Some(asked)) => {
                drop(headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone()))
            }
            (None, None) => {}
        }
        headers.insert(
            ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from(policy.max_age.as_secs()),
        );
        allow_credentials(policy, &mut headers);
    }
    Some(Reply {
        status: StatusCode::NO_CONTENT,
        headers,
        body: Bytes::new(),
    })
}

/// Adds the headers of an actual (not preflight) answer.
pub(crate) fn decorate(policy: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let mut asked = HeaderMap::new();
    if let Some(origin) = origin {
        asked.insert(ORIGIN, origin.clone());
    }
    let Some(origin) = allowed_origin(policy, &asked) else {
        return;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("origin"));
    allow_credentials(policy, headers);
    match &policy.expose_headers {
        Some(names) if names.is_empty() => {}
        Some(names) => insert_list(
            headers,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            names.iter().map(http::HeaderName::as_str),
        ),
        None => drop(headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"))),
    }
}

fn allow_credentials(policy: &Cors, headers: &mut HeaderMap) {
    if policy.allow_credentials {
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
}

/// The value of `Access-Control-Allow-Origin` for this request, if its origin is allowed. With credentials
/// the origin is named, because browsers do not take `*` then.
fn allowed_origin(policy: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let text = origin.to_str().ok()?.to_ascii_lowercase();
    let matches = |allowed: &CorsOrigin| match allowed {
        CorsOrigin::Any => true,
        CorsOrigin::Exact(exact) => exact.eq_ignore_ascii_case(&text),
        CorsOrigin::Wildcard { prefix, suffix } => text
            .strip_prefix(prefix.to_ascii_lowercase().as_str())
            .and_then(|rest| rest.strip_suffix(suffix.to_ascii_lowercase().as_str()))
            .is_some_and(|label| !label.is_empty()),
    };
    let by_star = policy
        .origins
        .iter()
        .any(|allowed| matches!(allowed, CorsOrigin::Any));
    if by_star && !policy.allow_credentials {
        return Some(HeaderValue::from_static("*"));
    }
    policy.origins.iter().any(matches).then(|| origin.clone())
}

fn insert_list<'n>(
    headers: &mut HeaderMap,
    name: http::HeaderName,
    items: impl Iterator<Item = &'n str>,
) {
    let mut list = String::new();
    for item in items {
        let _ = write!(list, "{}{item}", if list.is_empty() { "" } else { ", " });
    }
    if let Ok(value) = HeaderValue::from_str(&list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
