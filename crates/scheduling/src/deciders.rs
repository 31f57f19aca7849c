//! Deciders, one a file: whether a request is split over several endpoints.

mod always;
mod multimodal;
mod prefix_based;

use crate::Kind;

pub(crate) const KINDS: &[Kind] = &[always::KIND, multimodal::KIND, prefix_based::KIND];
