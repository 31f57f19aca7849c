//! Filters, one a file.

mod health;

pub(crate) use health::Health;

use crate::Factory;

pub(crate) const FACTORIES: &[Factory] = &[health::FACTORY];
