//! Which listener, route and rule a request meets, and what the rule's filters do to it.
//!
//! No I/O and no clock. A [`Table`] is compiled once per snapshot and never changes; looking a
//! request up takes no lock, and allocates only to join a header that is given several times or to
//! decode a query.
//!
//! Invariants:
//! - copies of the model headers that a client sends are never looked at: [`ModelView`] stands for them;
//! - [`Outcome::NeedsModel`] is given only while the body is unread, and only if the rule that would
//!   win depends on it;
//! - a backend that cannot be used keeps its share of the requests.

mod choose;
mod filters;
mod host;
mod query;
mod request;
mod table;

pub use choose::choose_backend;
pub use filters::{
    FilterError, RequestParts, apply_request_filters, apply_response_filters, redirect,
};
pub use request::{ModelView, RequestView};
pub use table::{Matched, Outcome, Table};

/// Header that stands for the model a request names. Only the gateway sets it.
pub const MODEL_HEADER: &str = "x-gateway-model-name";
/// Header that stands for the base of the model a request names. Only the gateway sets it.
pub const BASE_MODEL_HEADER: &str = "x-gateway-base-model-name";
