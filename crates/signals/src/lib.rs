//! What the gateway knows about model servers: who they are, how loaded they say they are, how
//! loaded our own requests make them, and how old each piece of that knowledge is.
//!
//! Invariants
//! - No I/O and no wall clock: text and [`Time`] come in as arguments.
//! - Readers never wait: the state of an [`Endpoint`] lives in atomics and `ArcSwap` snapshots.
//! - A [`Reservation`] is a guard. Whatever path drops it, the [`Ledger`] gives back exactly what
//!   the reservation took, so counters never fall below zero and return to zero when all is quiet.
//! - Scraped gauges are kept apart from what we know ourselves; [`Signals::corrected`] joins them.

mod endpoint;
mod engine;
pub mod exposition;
mod health;
mod ledger;
mod lora;
mod state;
mod time;

pub use endpoint::{Endpoint, EndpointIdentity, EndpointSet};
pub use engine::Engine;
pub use exposition::{MetricSpec, MetricSpecError, Scrape};
pub use health::Health;
pub use ledger::{Ledger, LedgerView, Load, PrefillPace, Reservation};
pub use lora::{AdapterState, LoraState};
pub use state::{Gauges, STALE_AFTER, Scalar, ScrapeMark, ServingState, Signals};
pub use time::Time;
