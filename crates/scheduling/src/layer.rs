//! The data layer: where the state of endpoints comes from. Asking for it is for the rim; here the
//! sources and extractors have their names and parameters.

mod core_metrics;
mod extractors;
mod sources;

pub use core_metrics::{CoreMetrics, CustomMetric, EngineConfig};
pub use extractors::{MulticlusterMetrics, Topology};
pub use sources::{
    DcgmSource, FileDiscovery, MetricsSource, ModelsSource, Notifications, SourceScheme,
};

use crate::Kind;

pub(crate) const KINDS: &[&[Kind]] = &[sources::KINDS, &[core_metrics::KIND], extractors::KINDS];
