//! The text that stands for an endpoint in a session's header.

use std::borrow::Cow;

use signals::Endpoint;

/// `namespace/name` of the endpoint, with an empty namespace for those that have none.
pub(super) fn token_of(endpoint: &Endpoint) -> Cow<'_, str> {
    let name = &**endpoint.name();
    if name.contains('/') {
        name.into()
    } else {
        format!("/{name}").into()
    }
}
