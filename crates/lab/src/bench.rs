//! The `bench` commands: options as clap sees them, and what they do.
//!
//! Progress goes to standard error; the caller prints the returned text to standard output.

mod load;
mod models;
mod options;
mod replay;
#[cfg(test)]
mod tests;

pub use load::{LoadOptions, Shape};
pub use options::{CommonOptions, HeaderOption};
pub use replay::ReplayOptions;

use crate::error::LabError;
use crate::load::{Plan, run};
use crate::progress::Progress;
use crate::report::{Report, Summary};

/// A finished bench command.
#[derive(Clone, Debug)]
pub struct Finished {
    /// All measurements.
    pub report: Report,
    /// The figures, as written to `--json`.
    pub summary: Summary,
    /// The summary as text, with the comparison if one was asked for.
    pub text: String,
}

impl Finished {
    /// Whether every request succeeded and the run was not stopped.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.summary.total.failed == 0 && !self.summary.interrupted
    }
}

/// Runs a plan with a progress display and makes its summary.
async fn finish(
    plan: Plan,
    common: &CommonOptions,
    title: &str,
    notes: Vec<String>,
) -> Result<Finished, LabError> {
    // Read first: a wrong file name must not cost a run.
    let other = common.compare.as_deref().map(Summary::read).transpose()?;
    let mut progress = Progress::new(common.quiet);
    let result = run(plan, |live| progress.show(live)).await;
    progress.end();
    let report = result?;
    let mut summary = Summary::of(&report, title);
    summary.warnings.extend(notes);
    if let Some(path) = &common.json {
        summary.write(path)?;
    }
    let mut text = summary.to_string();
    if let Some(other) = other {
        text.push('\n');
        text.push_str(&summary.against(&other));
    }
    Ok(Finished {
        report,
        summary,
        text,
    })
}
