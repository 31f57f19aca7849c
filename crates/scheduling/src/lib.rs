//! Which endpoint is best placed to serve a request now.
//!
//! A [`Profile`] runs filters, then weighted scorers, then a picker over an immutable slice of
//! endpoints, and returns an ordered [`Decision`]. Profiles are built by the [`Registry`] from
//! plugin type strings and strict parameters. The [`PrefixIndex`] remembers which endpoint was
//! sent which prompt blocks.
//!
//! Invariants
//! - No I/O, no wall clock, no own randomness: time, draws and requests are arguments.
//! - A plugin is one file under `filters`, `scorers` or `pickers`; it reads the [`Field`] it is
//!   given and nothing else, and says what it reads in [`Reads`].
//! - A filter never invents endpoints; a score that is not a number counts as zero.
//! - Deciding allocates per decision, never per endpoint: buffers live in [`Scratch`].
//! - The prefix index is prefix-closed: an endpoint that holds a block holds all blocks before it.

mod decision;
mod defaults;
mod field;
mod filters;
mod pickers;
mod plugin;
mod prefix;
mod profile;
mod registry;
mod scorers;
#[cfg(test)]
mod testing;

pub use decision::{Candidate, Choice, Decision, Funnel, MAX_FALLBACKS, ScheduleError};
pub use field::{EndpointState, Field, Query, Scratch};
pub use plugin::{Filter, Picker, Plugin, Reads, Scorer};
pub use prefix::{HitReport, Positions, PrefixIndex};
pub use profile::Profile;
pub use registry::{ConfigError, Factory, ParameterError, PluginSpec, ProfileSpec, Registry};
