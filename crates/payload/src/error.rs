//! The ways in which a request body can be unreadable.

/// Why a request body could not be read. All of them are the client's doing.
///
/// Messages name places and limits, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is not JSON (RFC 8259). `offset` counts bytes from the start of the decoded body.
    #[error("the request body is not valid JSON at byte {offset}: {what}")]
    Invalid {
        /// Byte at which reading stopped.
        offset: usize,
        /// What was wrong there, and what would be right.
        what: &'static str,
    },
    /// The body is JSON but not an object, which every supported API asks for.
    #[error("the request body must be a JSON object")]
    NotAnObject,
    /// Arrays and objects are nested deeper than the reader follows.
    #[error("the request body is nested deeper than {limit} levels at byte {offset}")]
    TooDeep {
        /// Byte of the bracket that went too deep.
        offset: usize,
        /// Levels allowed.
        limit: usize,
    },
    /// A field the API requires is missing, null or empty.
    #[error("the field `{field}` is required: {want}")]
    MissingField {
        /// Name of the field as the API spells it.
        field: &'static str,
        /// What the API asks for.
        want: &'static str,
    },
    /// A name the gateway has to keep is longer than it keeps.
    #[error("the field `{field}` is longer than {limit} bytes")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Bytes allowed.
        limit: usize,
    },
    /// A name the gateway has to keep is not text.
    #[error("the field `{field}` is not valid text: it must be UTF-8 without lone surrogates")]
    NotText {
        /// Name of the field.
        field: &'static str,
    },
    /// The body is no gRPC message of the kind its path asks for.
    #[error("the request body is not a readable gRPC message: {what}")]
    Grpc {
        /// What was wrong.
        what: &'static str,
    },
    /// The body, or what it inflates to, is larger than allowed.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// `Content-Encoding` names a coding the gateway cannot undo (HTTP 415).
    #[error(
        "the content encoding of the request is not supported: use gzip, deflate, br, zstd or none"
    )]
    UnsupportedEncoding,
    /// The body is not what its `Content-Encoding` says.
    #[error("the request body is not valid {encoding} data")]
    BadEncoding {
        /// The coding that failed.
        encoding: &'static str,
    },
}
