//! What the log tells of problems. Messages of problems hold no secrets (see `resources`).

use crate::SourceError;
use resources::{Problem, Severity};

/// Most problems that one change puts into the log.
const MAX_LINES: usize = 50;

/// Logs a change that was refused.
pub(crate) fn refused(error: &SourceError, generation: u64) {
    match error {
        SourceError::Invalid(found) => problems(found),
        other => tracing::error!(reason = %other, "manifests cannot be read"),
    }
    tracing::error!(
        generation,
        "change of the manifests refused; the last good one stays in force"
    );
}

/// Logs problems, each with its place.
pub(crate) fn problems(found: &[Problem]) {
    let place = |problem: &Problem| match problem.line {
        Some(line) => format!("{}:{line}", problem.source),
        None => problem.source.to_string(),
    };
    for problem in found.iter().take(MAX_LINES) {
        let (file, object) = (
            place(problem),
            problem.object.as_deref().unwrap_or_default(),
        );
        let (path, reason) = (&problem.path, &problem.message);
        match problem.severity {
            Severity::Error => tracing::error!(file, object, path, reason, "error in a manifest"),
            Severity::Warning => {
                tracing::warn!(file, object, path, reason, "doubt about a manifest")
            }
        }
    }
    if let Some(more) = found.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        tracing::warn!(
            more,
            "more problems in the manifests; `plimsoll check` prints all"
        );
    }
}
