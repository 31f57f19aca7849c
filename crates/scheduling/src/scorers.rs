//! Scorers, one a file.

mod prefix_cache;

pub(crate) use prefix_cache::PrefixCache;

use crate::Factory;

pub(crate) const FACTORIES: &[Factory] = &[prefix_cache::FACTORY];
