//! What plugins tell the rim to do: plain data.

use std::sync::Arc;

use crate::flow::{
    ConcurrencyDetector, HoldbackPolicy, LeastAttainedService, StaticLimit, UtilizationDetector,
};
use crate::layer::{
    CoreMetrics, DcgmSource, FileDiscovery, MetricsSource, ModelsSource, MulticlusterMetrics,
    Notifications, Topology,
};
use crate::producers::{ApproximatePrefix, PrecisePrefix, Tokens};

/// What one plugin instance tells the rim to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// Read request bodies with this type of parser.
    Parser(&'static str),
    /// Ask model servers for their state.
    Source(Source),
    /// Read what a source brings.
    Extractor(Extractor),
    /// Find endpoints.
    Discovery(Discovery),
    /// Tell how full the pool is.
    Detector(Detector),
    /// Share a priority band between flows.
    Fairness(Fairness),
    /// Order the requests of a flow.
    Ordering(Ordering),
    /// Limit how much of the pool a priority may use.
    UsageLimit(UsageLimit),
    /// Choose running requests to end for others.
    Eviction(Eviction),
    /// Turn prompts into tokens.
    Tokens(Arc<Tokens>),
    /// Keep an index of prompts by where they were sent.
    ApproximatePrefix(ApproximatePrefix),
    /// Keep an index of prompts by what engines say they hold.
    PrecisePrefix(Arc<PrecisePrefix>),
}

/// Where the state of endpoints comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Metrics in Prometheus text.
    Metrics(MetricsSource),
    /// The aggregate metrics of pools in other clusters.
    MulticlusterMetrics(MetricsSource),
    /// `/v1/models`.
    Models(ModelsSource),
    /// Metrics of GPUs.
    Dcgm(DcgmSource),
    /// Changes of Kubernetes objects.
    Kubernetes(Notifications),
    /// Endpoints coming and going.
    Endpoints,
    /// Nothing: the reference's tests put the state in by hand.
    Nothing,
}

/// What is read from what a source brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Extractor {
    /// The usual gauges, and scalars of the user's choice.
    CoreMetrics(Arc<CoreMetrics>),
    /// The aggregate gauges of pools in other clusters.
    MulticlusterMetrics(MulticlusterMetrics),
    /// The list of models.
    Models,
    /// GPU utilisation.
    Dcgm,
    /// Where an endpoint stands.
    Topology(Topology),
    /// Events of prefix caches.
    PrefixEvents,
    /// Nothing: the reference's tests put the state in by hand.
    Nothing,
}

/// How endpoints are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// From a file of addresses.
    File(FileDiscovery),
    /// From a file of addresses or names, of pools in other clusters.
    MulticlusterFile(FileDiscovery),
}

/// How it is told how full a pool is.
#[derive(Clone, Debug, PartialEq)]
pub enum Detector {
    /// By the gauges of the servers.
    Utilization(UtilizationDetector),
    /// By our own requests in flight.
    Concurrency(ConcurrencyDetector),
}

impl Default for Detector {
    fn default() -> Self {
        Detector::Utilization(UtilizationDetector::default())
    }
}

/// How flows share a priority band.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fairness {
    /// Not at all: the best request over all flows goes first.
    #[default]
    GlobalStrict,
    /// In turns.
    RoundRobin,
    /// Who has had least goes first.
    LeastAttainedService(LeastAttainedService),
}

/// Which request of a flow goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// The one that came first.
    #[default]
    Fcfs,
    /// The one that runs out of time first.
    EarliestDeadline,
    /// The one whose client expects its first token first.
    SloDeadline,
}

/// How much of the pool each priority may use.
#[derive(Clone, Debug, PartialEq)]
pub enum UsageLimit {
    /// The same for all.
    Static(StaticLimit),
    /// Less for lower priorities.
    Holdback(HoldbackPolicy),
    /// Less for lower priorities as the pool fills.
    SoftReflective,
}

impl Default for UsageLimit {
    fn default() -> Self {
        UsageLimit::Static(StaticLimit::default())
    }
}

/// How running requests are chosen to end for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Only those of negative priority.
    SheddableOnly,
    /// The lowest priority first, of these the newest.
    PriorityThenTime,
}
