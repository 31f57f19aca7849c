//! A simulated model server: an engine that batches, caches and evicts as vLLM's does, behind the
//! HTTP interface of vLLM.
//!
//! Two layers, kept apart:
//!
//! - [`engine`] holds no socket, no clock and no randomness. Time is a number of nanoseconds that
//!   the caller passes in, so the same core runs in virtual time for the lab and in real or
//!   scaled time behind HTTP. Equal calls give equal events.
//! - [`server`] puts HTTP/1.1 and cleartext HTTP/2 in front of one engine.
//!
//! Invariants:
//!
//! - A KV block is referenced by running requests or is in the free list, never both, never
//!   neither. A request that ends in whatever way (finished, aborted, preempted) gives back all
//!   its blocks.
//! - A block can be found by its hash only from the end of the step that computed it.
//! - No request is scheduled before it arrived, and none beats the time of an idle engine that
//!   has the same blocks cached.
//! - Waiting requests, sequences, blocks, bodies and stored label combinations are all bounded by
//!   [`SimConfig`].

pub mod config;
pub mod engine;
pub mod node;
pub mod perf;
pub mod server;

pub use config::{ConfigError, Faults, SimConfig};
pub use engine::{
    AdapterId, CacheChange, Counters, Engine, EngineConfig, Event, FinishReason, Gauges, Nanos,
    Refusal, RequestId, Submission, Summary, TokenEvents, Transfer,
};
pub use node::{Fault, Node, Rejection};
pub use perf::{PerfRow, ProfileError};
pub use server::{SimHandle, SimStats, Simulator, serve};
