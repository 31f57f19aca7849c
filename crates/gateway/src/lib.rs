//! The embedded data plane: HTTP/1.1 and HTTP/2 listeners, TLS, per-endpoint connection pools, ordered fallback, streaming.
//!
//! This is a door: it moves bytes and reports events. Every rule about requests lives in [`lifecycle`].
//!
//! Invariants:
//! - Answers are never buffered; back-pressure reaches the model server through the body's poll.
//! - An answer's head waits for its first body byte when another endpoint could still serve the request.
//! - Dropping a connection drops its requests, and with them reservations and budgets.
//! - Shutdown is bounded in time.

mod answer;
mod connect;
mod forward;
mod gateway;
mod options;
mod outgoing;
mod port;
mod serve;
mod shared;
mod tls;
mod upstream;
mod workers;

pub use gateway::{ApplyError, Bound, Gateway, StartError};
pub use options::Options;
pub use tls::{TlsError, UpstreamTrust, client_config};

/// Errors of bodies in either direction.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
