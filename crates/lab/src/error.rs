//! What can go wrong before a run starts. Failures of single requests are counted in the report
//! instead (see [`crate::outcome::Cause`]).

use std::io;
use std::path::PathBuf;

/// Why a trace, an endpoint or a plan cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A file could not be opened, read or decompressed.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file named by the user.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file named by the user.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A trace has a line that does not fit its format.
    #[error("{name}:{line}: {what}")]
    Trace {
        /// The trace's name.
        name: String,
        /// Line number, from 1.
        line: u64,
        /// What was wrong and what would be right.
        what: String,
    },
    /// An endpoint URL is not usable.
    #[error("endpoint {url:?}: {what}")]
    Endpoint {
        /// The URL as given.
        url: String,
        /// What was wrong and what would be right.
        what: String,
    },
    /// The options contradict each other or leave out something needed.
    #[error("{0}")]
    Plan(String),
    /// The system refused a thread, or a task of ours died.
    #[error("the load generator could not run: {0}")]
    Runtime(String),
}
