use http::{HeaderMap, StatusCode};
use resources::{Filter, Mirror, Redirect, RouteMatch};
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

/// Value of a `Location` header.
pub type Location = String;

/// Applies filters in order and gives the mirrors the request is to be copied to.
///
/// # Errors
/// If one of them is invalid; the request must then be answered with a 500.
pub fn apply_request_filters<'f>(
    filters: &'f [Filter],
    _matched: &RouteMatch,
    _parts: &mut RequestParts<'_>,
) -> Result<Vec<&'f Mirror>, FilterError> {
    let mut mirrors = Vec::new();
    for filter in filters {
        match filter {
            Filter::Mirror(mirror) => mirrors.push(mirror),
            Filter::Invalid(reason) => return Err(FilterError::Invalid(Arc::clone(reason))),
            _ => {}
        }
    }
    Ok(mirrors)
}

/// Applies filters to the headers of a response.
pub fn apply_response_filters(_filters: &[Filter], _headers: &mut HeaderMap) {}

/// The answer a redirect gives.
pub fn redirect(
    redirect: &Redirect,
    _matched: &RouteMatch,
    _request: &crate::RequestView<'_>,
    _tls: bool,
) -> (StatusCode, Location) {
    (redirect.status, String::new())
}
