//! The server over real sockets, with hyper as the client.

#![expect(
    clippy::expect_used,
    reason = "tests may fail loudly, their helpers too"
)]

mod apis;
mod faults;
mod harness;
mod load;
mod streams;
