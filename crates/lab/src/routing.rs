//! The virtual routing lab: a workload, a simulated fleet and routing policies on a virtual clock.
//!
//! The servers are the simulator's engines, step by step. The default policy is the production
//! scheduler itself: the same profile, prefix index, ledger and signals, fed by scrapes and KV
//! events that are as late and as lossy as the [`Conditions`] say. What it is compared with is in
//! [`policy`].
//!
//! Everything follows from the workload and the seed: a run repeated gives the same figures, on any
//! number of threads.

mod bounds;
mod chains;
mod compare;
mod fleet;
mod grid;
mod holdings;
mod options;
mod page;
pub mod policy;
mod presets;
mod results;
mod router;
mod score;
mod synthetic;
mod table;
mod timeline;
mod workload;
mod world;

pub use bounds::Bounds;
pub use fleet::Fleet;
pub use grid::Plan;
pub use options::RoutingOptions;
pub use policy::PolicyKind;
pub use results::{Estimate, Point, Results, Row, Setup, WorkloadFacts};
pub use score::{METRICS, Metric, Quantile, Score, Slo, metric};
pub use timeline::Timed;
pub use workload::{Job, Workload};
pub use world::Conditions;
