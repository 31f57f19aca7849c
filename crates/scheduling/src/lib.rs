//! Which endpoint is best placed to serve a request now.
//!
//! A [`Scheduler`] is made of an `EndpointPickerConfig` and the plugin types of the [`Registry`].
//! It runs screeners, data producers and admitters, then the [`Profile`]s that its profile handler
//! asks for, then the hooks that act before the request is sent. A profile runs filters, then
//! weighted scorers, then a picker over an immutable slice of endpoints, and gives an ordered
//! [`Decision`]. The [`PrefixIndex`] remembers which endpoint was sent which prompt blocks.
//!
//! Invariants
//! - No I/O, no wall clock, no own randomness: time, draws and requests are arguments. What a
//!   configuration asks of the rim is plain data, see [`Effective`].
//! - A plugin is one file; it reads the [`Field`] it is given and nothing else, and says what it
//!   reads.
//! - A filter never invents endpoints; a score that is not a number counts as zero.
//! - Deciding allocates per decision, never per endpoint: buffers live in [`Scratch`]. Plugins
//!   that bring data by endpoint are the exception, and none of them is in the default profile.
//! - The prefix index is prefix-closed: an endpoint that holds a block holds all blocks before it.
//! - Everything a plugin remembers is bounded, and forgotten with its endpoint.

mod admitters;
mod attribute;
mod config;
mod cost;
mod data;
mod deciders;
mod decision;
mod defaults;
mod draw;
mod field;
mod filters;
mod findings;
pub mod flow;
mod handlers;
mod hooks;
mod kind;
pub mod layer;
mod macros;
mod parameters;
mod parsers;
mod pickers;
mod plugin;
mod prefix;
pub mod producers;
mod profile;
mod readers;
mod registry;
mod reporters;
mod scheduler;
mod scorers;
mod screeners;
mod session;
pub mod settings;
#[cfg(test)]
mod testing;
mod topology;

pub use config::{Binding, BuildOptions, Effective, FlowPolicies};
pub use data::{Data, Need};
pub use decision::{Candidate, Choice, Decision, Funnel, MAX_FALLBACKS, ScheduleError};
pub use field::{EndpointState, Field, Query, RequestHeaders, Scratch, Slo};
pub use findings::{Findings, Slot, SourceId};
pub use hooks::{
    Admitter, Attribute, Decider, Effects, Flight, HeaderChange, HeaderChanges, HeaderReader,
    Keeper, Next, Placed, PreRequest, Prediction, Produced, Producer, ProfileHandler, ProfileSet,
    Ran, Report, Reporter, ResponseHeaders, Screener, Step, Ticket, TokenUsage, Verdict, apply,
};
pub use kind::{Build, Instance, Kind, PluginType, Roles, Stability};
pub use parameters::ParameterFault;
pub use plugin::{Filter, Picker, Reads, Scorer};
pub use prefix::{HitReport, Positions, PrefixIndex};
pub use profile::Profile;
pub use registry::Registry;
pub use scheduler::{Scheduled, Scheduler};
