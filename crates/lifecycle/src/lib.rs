//! The one request lifecycle: match, read, admit, schedule, forward, observe.
//!
//! Both doors (the embedded gateway and the Envoy external processor) drive this state machine. Each phase is a
//! type, and a phase that is over cannot be used again:
//!
//! ```text
//! Received ──► Reading ──► Dispatch ──► Observing
//!     │           │           │ ▲ │         │
//!     └───────────┴───────────┘ └─┘         └──► end: outcome joins the decision record
//!            Reply (refused, redirected)   next endpoint
//! ```
//!
//! Invariants:
//! - No I/O, no sockets, no wall clock: time comes from the [`Clock`] the rim provides.
//! - Reservations, body budget and request slots are guards. A phase that is dropped frees all of them, and the
//!   request is counted as cancelled by the client, exactly once.
//! - A request works on the configuration generation it began with.
//! - Every error that reaches a client is a row of [`Reason`].
//! - No prompt text, header value or key enters a record or a message.

mod budget;
mod core;
mod cors;
mod dispatch;
mod entropy;
mod errors;
mod exchange;
mod explain;
mod headers;
mod models;
mod observer;
mod observing;
mod reading;
mod received;
mod record;
mod reply;
mod subset;

pub use budget::{Budget, Claim};
pub use core::{
    Clock, Core, EndpointSource, PoolState, PoolView, ServiceKey, ServiceState, Settings, View,
};
pub use dispatch::{Dispatch, MirrorCopy, Verdict};
pub use entropy::Entropy;
pub use errors::{
    DROPPED_HEADER, ErrorStyle, REASON_HEADER, Reason, ReferenceDialect, Refusal, Row,
    reference_code,
};
pub use exchange::Door;
pub use explain::{Explanation, explain};
pub use headers::REQUEST_ID;
pub use observer::{Extraction, Finished, Flow, Observer, Picked, Silent};
pub use observing::{Close, ENDPOINT_HEADER, Observing, Watch};
pub use reading::{Named, Reading};
pub use received::{Received, Step};
pub use record::{AttemptFailure, Ending, FailedAttempt, Outcome, Record, Ring};
pub use reply::Reply;
pub use subset::Subset;
