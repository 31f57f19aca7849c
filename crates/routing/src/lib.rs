//! Which listener, route and rule a request meets, and what the rule's filters do to it.
//!
//! No I/O and no clock. A [`Table`] is compiled once per snapshot and never changes; looking a
//! request up takes no lock and no allocation.

mod choose;
mod filters;
mod request;
mod table;

pub use choose::choose_backend;
pub use filters::{
    FilterError, Location, RequestParts, apply_request_filters, apply_response_filters, redirect,
};
pub use request::{ModelView, RequestView};
pub use table::{Matched, Outcome, Table};

/// Header that stands for the model a request names. Only the gateway sets it.
pub const MODEL_HEADER: &str = "x-gateway-model-name";
/// Header that stands for the base of the model a request names. Only the gateway sets it.
pub const BASE_MODEL_HEADER: &str = "x-gateway-base-model-name";
