//! Plays Envoy's side of external processing against any endpoint picker, and measures what that costs.
//!
//! One HTTP/2 connection per worker thread, as Envoy has them; one gRPC stream per request. Messages are encoded once and
//! framed by hand, so that the generator costs little beside the picker.

mod exchange;
mod link;
mod messages;
mod options;
mod report;
mod run;

pub use options::{BodyMode, EppOptions, Pace, Shape};
pub use report::EppReport;
