//! Admitters, one a file.

mod latency_slo;
mod probabilistic;

use crate::Kind;

pub(crate) const KINDS: &[Kind] = &[latency_slo::KIND, probabilistic::KIND];
