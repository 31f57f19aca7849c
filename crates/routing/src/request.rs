use http::{HeaderMap, Method};

/// What matching looks at.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// Port of the listening socket.
    pub port: u16,
    /// Server name of the TLS handshake, if there was one.
    pub sni: Option<&'a str>,
    /// `Host` or `:authority`, with or without a port.
    pub host: &'a str,
    /// Method.
    pub method: &'a Method,
    /// Path, without query.
    pub path: &'a str,
    /// Query, without `?`.
    pub query: Option<&'a str>,
    /// Headers. Copies of the model headers in here are never looked at.
    pub headers: &'a HeaderMap,
    /// The model the body names.
    pub model: ModelView<'a>,
}

/// What is known of the model a request names. Stands in for the two model headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelView<'a> {
    /// The body has not been read.
    Unread,
    /// The body names no model, or there is none.
    Absent,
    /// The body names this one.
    Named {
        /// The name as the client sent it.
        model: &'a str,
        /// Its base, if a mapping knows it.
        base: Option<&'a str>,
    },
}
