//! The lab, load side: request traces, a load generator that measures from the scheduled time, and
//! the `bench` commands.
//!
//! Invariants:
//!
//! - **No coordinated omission.** Every time counts from when a request was due, and the
//!   generator's own lateness is reported beside it.
//! - **Deterministic traffic.** Requests follow from the trace or the mix and a seed; equal block
//!   ids give equal text on every machine.
//! - **Every loop ends.** Requests, requests in flight, kept outcomes, lines of a trace and error
//!   bodies are bounded, and a cancelled run reports what it has.
//! - **The server's word counts.** Tokens and cache hits are taken from its usage reports; where it
//!   says nothing, the report says so instead of guessing.
//!
//! `bench` is for the command line; [`load::run`] with a [`load::Plan`] is the same thing as a
//! library call.

mod answer;
pub mod bench;
mod client;
mod error;
pub mod ext_proc;
pub mod load;
pub mod mix;
mod outcome;
pub mod process;
mod progress;
pub mod report;
pub mod routing;
mod stats;
#[cfg(test)]
mod test_server;
pub mod text;
mod tls;
pub mod trace;
mod wire;

pub use client::Target;
pub use error::LabError;
pub use outcome::{Cause, Failure, Outcome};
pub use progress::Progress;
pub use stats::{Distribution, Quantiles};
pub use wire::{Api, Prompt, Shot, Wire};
