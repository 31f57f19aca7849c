//! Screeners, one a file.

mod rollout;

use crate::Kind;

pub(crate) const KINDS: &[Kind] = &[rollout::KIND];
