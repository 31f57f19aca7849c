//! Flow-control policies and saturation detectors. Queues live in the `flow` room; here the
//! policies have their names and parameters, and detectors are filters too.

mod concurrency_detector;
mod policies;
mod utilization_detector;

pub use concurrency_detector::{ConcurrencyDetector, ConcurrencyMode};
pub use policies::{
    HoldbackDomain, HoldbackPolicy, HoldbackShape, LeastAttainedService, ServiceStrategy,
    StaticLimit,
};
pub use utilization_detector::UtilizationDetector;

use crate::Kind;

pub(crate) const KINDS: &[&[Kind]] = &[
    &[concurrency_detector::KIND, utilization_detector::KIND],
    policies::KINDS,
];
