//! Following membership.

use std::sync::Arc;

use signals::Endpoint;

/// Something that keeps a record per endpoint: the scraper, a prefix index, metrics.
///
/// [`Membership`](crate::Membership) calls it in the order of changes, one at a time. An endpoint
/// is added before the first set that holds it is published, and removed after the first set
/// without it is; requests under way may still hold it then. Calls must be quick and must not call
/// back into the membership.
pub trait Observer: Send + Sync {
    /// A new endpoint.
    fn added(&self, endpoint: &Arc<Endpoint>);

    /// An endpoint that is gone for good: one that comes back has a new id.
    fn removed(&self, endpoint: &Arc<Endpoint>);
}
