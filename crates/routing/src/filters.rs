mod redirect;

pub use redirect::redirect;

use http::{HeaderMap, header};
use resources::{BackendTarget, Filter, HeaderChange, Mirror, PathChange, PathMatch, RouteMatch};
use std::sync::Arc;

/// The parts of a request that filters may change.
#[derive(Debug)]
pub struct RequestParts<'a> {
    /// Path, without query.
    pub path: String,
    /// Query, without `?`. No filter changes it.
    pub query: Option<String>,
    /// New `Host`, if a filter sets one.
    pub host: Option<Arc<str>>,
    /// Headers.
    pub headers: &'a mut HeaderMap,
}

/// Why a request cannot be passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The rule holds a filter that cannot be carried out: answer 500.
    #[error("route has a filter that cannot be applied: {0}")]
    Invalid(Arc<str>),
}

/// Applies filters in order and gives the mirrors the request is to be copied to.
///
/// Mirrors whose backend does not exist are left out (Gateway API, `HTTPRequestMirrorFilter`).
/// Redirects, CORS and filters for responses change nothing here.
///
/// # Errors
/// If one of them is invalid; the request must then be answered with a 500.
pub fn apply_request_filters<'f>(
    filters: &'f [Filter],
    matched: &RouteMatch,
    parts: &mut RequestParts<'_>,
) -> Result<Vec<&'f Mirror>, FilterError> {
    let mut mirrors = Vec::new();
    for filter in filters {
        match filter {
            Filter::RequestHeaders(change) => {
                set_host(change, parts);
                apply_change(change, parts.headers);
            }
            Filter::Rewrite(rewrite) => {
                if let Some(hostname) = &rewrite.hostname {
                    parts.host = Some(Arc::clone(hostname));
                }
                if let Some(change) = &rewrite.path {
                    parts.path = changed_path(change, matched, &parts.path);
                }
            }
            Filter::Mirror(mirror) => {
                if !matches!(mirror.target, BackendTarget::Invalid(_)) {
                    mirrors.push(mirror);
                }
            }
            Filter::Invalid(reason) => return Err(FilterError::Invalid(Arc::clone(reason))),
            Filter::ResponseHeaders(_) | Filter::Redirect(_) | Filter::Cors(_) => {}
        }
    }
    Ok(mirrors)
}

/// Applies filters in order to the headers of a response.
pub fn apply_response_filters(filters: &[Filter], headers: &mut HeaderMap) {
    for filter in filters {
        if let Filter::ResponseHeaders(change) = filter {
            apply_change(change, headers);
        }
    }
}

/// `Host` is no plain header: HTTP/2 carries it as `:authority`.
fn set_host(change: &HeaderChange, parts: &mut RequestParts<'_>) {
    let host = change
        .set
        .iter()
        .rev()
        .find(|(name, _)| name == header::HOST);
    if let Some(host) = host.and_then(|(_, value)| value.to_str().ok()) {
        parts.host = Some(host.into());
    }
}

fn apply_change(change: &HeaderChange, headers: &mut HeaderMap) {
    for (name, value) in &change.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &change.add {
        headers.append(name, value.clone());
    }
    for name in &change.remove {
        headers.remove(name);
    }
}

/// The path after a change. The rest behind a replaced prefix stays as it is.
fn changed_path(change: &PathChange, matched: &RouteMatch, path: &str) -> String {
    match change {
        PathChange::ReplaceFull(full) if full.starts_with('/') => full.to_string(),
        PathChange::ReplaceFull(full) => format!("/{full}"),
        PathChange::ReplacePrefix(replacement) => {
            let prefix = match &matched.path {
                PathMatch::Prefix(prefix) => prefix.as_ref(),
                PathMatch::Exact(_) | PathMatch::Regex(_) => "",
            };
            let rest = path.strip_prefix(prefix).unwrap_or(path);
            let changed = format!("{}{rest}", replacement.trim_end_matches('/'));
            if changed.starts_with('/') {
                changed
            } else {
                format!("/{changed}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
