//! What the rule's filters do to the request before it is sent.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use routing::RequestParts;

use super::{MirrorCopy, plain};
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::received::Choice;

/// Sets the model headers, so that they reach the backend as they would behind a body-based router.
pub(super) fn publish_model(exchange: &mut Exchange) {
    let Some(model) = &exchange.model else { return };
    let base = exchange.view.snapshot.base_models.base_of(model);
    for (name, value) in [
        (routing::MODEL_HEADER, Some(model)),
        (routing::BASE_MODEL_HEADER, base),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            exchange.parts.headers.insert(name, value);
        }
    }
}

/// Applies request filters to head and target, and resolves the mirrors that take this request.
pub(super) fn apply(exchange: &mut Exchange, choice: &Choice) -> Result<Vec<MirrorCopy>, Refusal> {
    let Some(matched) = choice
        .rule()
        .and_then(|rule| rule.matches.get(choice.matched))
    else {
        return Ok(Vec::new());
    };
    let mut copies = Vec::new();
    let mut head = RequestParts {
        path: exchange.parts.uri.path().to_owned(),
        query: exchange.parts.uri.query().map(str::to_owned),
        host: None,
        headers: &mut exchange.parts.headers,
    };
    let mut mirrors = Vec::new();
    for filters in choice.filters() {
        let found = routing::apply_request_filters(filters, matched, &mut head)
            .map_err(|error| Refusal::new(Reason::InvalidFilter, error.to_string()))?;
        mirrors.extend(found);
    }
    let RequestParts {
        path, query, host, ..
    } = head;
    set_target(
        &mut exchange.parts,
        &path,
        query.as_deref(),
        host.as_deref(),
    )?;
    for mirror in mirrors
        .into_iter()
        .filter(|mirror| mirror.takes(exchange.core.entropy().draw()))
    {
        copies.extend(plain::mirror_copy(exchange, &mirror.target));
    }
    Ok(copies)
}

/// Writes path, query and host back into the head. The authority moves into `Host`, which the door sends on.
fn set_target(
    parts: &mut Parts,
    path: &str,
    query: Option<&str>,
    host: Option<&str>,
) -> Result<(), Refusal> {
    let unusable = || {
        Refusal::new(
            Reason::InvalidFilter,
            "a filter of the rule makes a target that is not a valid URI",
        )
    };
    let host = host
        .map(str::to_owned)
        .unwrap_or_else(|| crate::exchange::host_of(parts).to_owned());
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let target: PathAndQuery = target.parse().map_err(|_| unusable())?;
    parts.uri = Uri::from(target);
    if !host.is_empty() {
        parts.headers.insert(
            http::header::HOST,
            HeaderValue::from_str(&host).map_err(|_| unusable())?,
        );
    }
    Ok(())
}
