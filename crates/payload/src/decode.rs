//! Undoing `Content-Encoding`.

use crate::{Body, BodyError};

/// Undoes the codings of a `Content-Encoding` header value, giving at most `limit` bytes.
///
/// # Errors
///
/// [`BodyError::UnsupportedEncoding`], [`BodyError::BadEncoding`] or, as soon as more than `limit`
/// bytes come out, [`BodyError::TooLarge`].
pub fn decode(encoding: &str, limit: usize, body: &Body) -> Result<Body, BodyError> {
    let _ = limit;
    if encoding.is_empty() {
        Ok(body.clone())
    } else {
        Err(BodyError::UnsupportedEncoding)
    }
}
