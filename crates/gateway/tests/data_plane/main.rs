//! The data plane over real sockets: a client, the gateway, and model servers that do as the test says.

#![expect(
    clippy::unwrap_used,
    reason = "tests may fail loudly, their helpers too"
)]
#![expect(clippy::panic, reason = "tests may fail loudly, their helpers too")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod bodies;
mod fallback;
mod filters;
mod headers;
mod ports;
mod protocols;
mod streaming;
mod support;
mod timeouts;
