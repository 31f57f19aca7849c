//! Admission: may this request enter the pool now?
//!
//! The first floor is the rule the reference picker applies without flow control (GIE v1.5,
//! `admission.go`): requests of priority 0 and above are always admitted; requests of negative priority
//! ("sheddable") are refused while the pool is saturated. Queues, bands and fairness build on this room.
//!
//! Invariants: no I/O and no clock (time is an argument); a decision reads signals and changes nothing.

mod saturation;

pub use saturation::{Detector, Limits, Thresholds};

use std::sync::Arc;

use signals::{Endpoint, Time};

/// What admission says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Admission {
    /// The request may be scheduled.
    Admitted,
    /// The pool is saturated at `saturation` (1.0 and above) and the request is sheddable.
    Shed {
        /// Mean saturation over the pool's endpoints.
        saturation: f64,
    },
}

/// Decides about one request of `priority` over the pool's `endpoints`.
#[must_use]
pub fn admit(
    priority: i32,
    endpoints: &[Arc<Endpoint>],
    detector: &Detector,
    now: Time,
) -> Admission {
    if priority >= 0 {
        return Admission::Admitted;
    }
    let saturation = detector.saturation(endpoints, now);
    if saturation >= 1.0 {
        Admission::Shed { saturation }
    } else {
        Admission::Admitted
    }
}
