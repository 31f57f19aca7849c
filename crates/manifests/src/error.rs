use resources::Problem;
use std::path::PathBuf;

/// Why manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is no text.
    #[error("{} is not valid UTF-8, want a text file", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A file, or all files together, are larger than a configuration may be.
    #[error("{} is too large, want at most {} bytes a file and {} in all", path.display(), crate::MAX_FILE_BYTES, crate::MAX_TOTAL_BYTES)]
    TooLarge {
        /// The file that went over the bound.
        path: PathBuf,
    },
    /// There are more files than a configuration may have.
    #[error("{} holds too many files, want at most {} in all", path.display(), crate::MAX_FILES)]
    TooMany {
        /// The directory that went over the bound.
        path: PathBuf,
    },
    /// The manifests hold errors. Warnings are among the problems, but not in the message.
    #[error("the configuration has errors:{}", errors(.0))]
    Invalid(Vec<Problem>),
    /// The thread that watches cannot be started.
    #[error("cannot watch the manifests: {0}")]
    Watch(std::io::Error),
}

fn errors(problems: &[Problem]) -> String {
    let lines = problems.iter().filter(|problem| problem.is_error());
    lines.map(|problem| format!("\n  {problem}")).collect()
}
