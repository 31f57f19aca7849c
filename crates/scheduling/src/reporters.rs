//! Plugins that act on answers, one a file.

mod request_attribute;
mod served_verifier;

use crate::Kind;

pub(crate) const KINDS: &[Kind] = &[request_attribute::KIND, served_verifier::KIND];
