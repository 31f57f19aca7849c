use super::changed_path;
use crate::RequestView;
use crate::host::without_port;
use http::StatusCode;
use resources::{Redirect, RouteMatch, Scheme};

/// The answer a redirect gives: status and `Location`. `tls` says how the request came in.
///
/// The port is the redirect's own, else the well-known one of its scheme, else the listener's; it is
/// not written where it is the well-known one (Gateway API, `HTTPRequestRedirectFilter`). The query
/// stays.
pub fn redirect(
    redirect: &Redirect,
    matched: &RouteMatch,
    request: &RequestView<'_>,
    tls: bool,
) -> (StatusCode, String) {
    let own = if tls { Scheme::Https } else { Scheme::Http };
    let scheme = redirect.scheme.unwrap_or(own);
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => port,
        (None, Some(scheme)) => scheme.default_port(),
        (None, None) => request.port,
    };
    let host = redirect
        .hostname
        .as_deref()
        .unwrap_or_else(|| without_port(request.host));
    let mut location = format!("{}://{host}", scheme.as_str());
    if port != scheme.default_port() {
        location.push_str(&format!(":{port}"));
    }
    match &redirect.path {
        Some(change) => location.push_str(&changed_path(change, matched, request.path)),
        None => location.push_str(request.path),
    }
    if let Some(query) = request.query {
        location.push('?');
        location.push_str(query);
    }
    (redirect.status, location)
}
