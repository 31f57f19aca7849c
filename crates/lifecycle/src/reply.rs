//! An answer the gateway gives itself.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// A whole answer, ready to be sent by a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers; the door adds `content-length`.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}
