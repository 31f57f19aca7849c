//! Manifests on disk as a source of configuration (the lead's starting point: the binary compiles against these names;
//! the owner of this room adds watching and splits it into files).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use resources::{Options, Problem, Severity, Snapshot, Source};
use tokio::sync::watch;

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
    /// The manifests hold errors.
    #[error("the configuration has errors:\n{}", list(.0))]
    Invalid(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reads all manifests under `paths`.
///
/// # Errors
/// [`SourceError::Read`] naming the path.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    for path in paths {
        let failed = |error| SourceError::Read {
            path: path.clone(),
            error,
        };
        if path.is_dir() {
            let mut files: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(failed)?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|file| is_manifest(file))
                .collect();
            files.sort();
            for file in files {
                sources.push(read_file(&file)?);
            }
        } else {
            sources.push(read_file(path)?);
        }
    }
    Ok(sources)
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json")
}

fn read_file(path: &Path) -> Result<Source, SourceError> {
    let text = std::fs::read_to_string(path).map_err(|error| SourceError::Read {
        path: path.to_owned(),
        error,
    })?;
    Ok(Source {
        path: path.display().to_string().into(),
        text,
    })
}

/// How watching goes.
#[derive(Debug, Default)]
pub struct Status {
    refused: AtomicU64,
}

impl Status {
    /// Changes refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Configuration from files, and its changes.
#[derive(Debug)]
pub struct FileSource {
    current: watch::Sender<Arc<Snapshot>>,
    status: Arc<Status>,
}

impl FileSource {
    /// Reads and validates `paths`, and watches them.
    ///
    /// # Errors
    /// [`SourceError`] if the first configuration cannot be used.
    pub fn open(paths: &[PathBuf], options: Options) -> Result<Self, SourceError> {
        let sources = read(paths)?;
        let (mut snapshot, problems) = resources::build(&sources, &options);
        if problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
        {
            return Err(SourceError::Invalid(problems));
        }
        snapshot.generation = 1;
        Ok(Self {
            current: watch::Sender::new(Arc::new(snapshot)),
            status: Arc::default(),
        })
    }

    /// The configuration in force and those that follow.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// How watching goes.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }
}
