//! What operators see: metrics in OpenMetrics text, and the last decisions as JSON.
//!
//! Metrics follow the three phases of a request: gateway (validation, model extraction), selection, model server.
//!
//! Invariants:
//! - Labels come from closed sets. A model name from a request becomes a label only while fewer than
//!   [`MODEL_LABELS_MAX`] are known; after that it counts as `other`.
//! - Gauges are read from the core when someone scrapes; nothing is written on the request path for them.
//! - No prompt text, header value or key.

mod compat;
mod decisions;
mod gauges;
mod labels;
mod metrics;

pub use compat::{Compat, Family, FamilyKind, NameSet, TEXT_CONTENT_TYPE, families};
pub use decisions::{DecisionFilter, decisions_json};
pub use gauges::{ConfigGauges, Gauges};
pub use labels::MODEL_LABELS_MAX;
pub use metrics::{CONTENT_TYPE, Metrics};
