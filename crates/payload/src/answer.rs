//! Errors in the shape the client's API speaks.

use bytes::Bytes;

use crate::Dialect;

/// An error for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiError<'a> {
    /// HTTP status.
    pub status: u16,
    /// OpenAI error type, for example `invalid_request_error`.
    pub kind: &'a str,
    /// Stable machine-readable code, for example `model_not_found`; empty for none.
    pub code: &'a str,
    /// One sentence for a human.
    pub message: &'a str,
    /// The request's id; empty for none.
    pub request_id: &'a str,
}

/// The JSON body of an error response.
pub fn error_body(dialect: Dialect, error: &ApiError<'_>) -> Bytes {
    let _ = (dialect, error);
    Bytes::new()
}

/// The server-sent event that ends a stream with an error.
pub fn error_event(dialect: Dialect, error: &ApiError<'_>) -> Bytes {
    let _ = (dialect, error);
    Bytes::new()
}
