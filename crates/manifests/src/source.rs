use crate::watching::{Stop, Watching};
use crate::{SourceError, Status, log, read};
use resources::{Options, Snapshot, Source};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Configuration from files, and its changes. Watching ends when this is dropped.
#[derive(Debug)]
pub struct FileSource {
    snapshots: watch::Sender<Arc<Snapshot>>,
    status: Arc<Status>,
    /// Ends the watching thread; `None` if there is nothing to watch.
    stop: Option<Stop>,
}

impl FileSource {
    /// Reads and validates `paths` together with what `options` brings, and watches them from then on.
    ///
    /// Blocks while the files are read for the first time.
    ///
    /// # Errors
    /// [`SourceError`] if the first configuration cannot be used, or watching cannot be started.
    pub fn open(paths: &[PathBuf], options: Options) -> Result<Self, SourceError> {
        let mut loader = Loader::new(paths.to_vec(), options);
        // Watching starts before the first reading, so that no change falls in between.
        let watching = if paths.is_empty() {
            None
        } else {
            Some(Watching::start(paths))
        };
        let first = loader.load_first()?;
        let status = Arc::new(Status::default());
        status.took(first.generation);
        let snapshots = watch::Sender::new(Arc::new(first));
        let stop = watching.as_ref().map(Watching::stop_handle);
        if let Some(watching) = watching {
            let (snapshots, status) = (snapshots.clone(), Arc::clone(&status));
            std::thread::Builder::new()
                .name("manifests".to_owned())
                .spawn(move || follow(watching, loader, &snapshots, &status))
                .map_err(SourceError::Watch)?;
        }
        Ok(Self {
            snapshots,
            status,
            stop,
        })
    }

    /// The configuration in force and those that follow.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// How watching goes.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.stop();
        }
    }
}

/// Body of the watching thread.
fn follow(
    mut watching: Watching,
    mut loader: Loader,
    snapshots: &watch::Sender<Arc<Snapshot>>,
    status: &Status,
) {
    while watching.wait() {
        match loader.load_changed() {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                tracing::info!(generation = snapshot.generation, "manifests changed");
                status.took(snapshot.generation);
                snapshots.send_replace(Arc::new(snapshot));
            }
            Err(error) => {
                log::refused(&error, loader.generation);
                status.refuse(error.to_string());
            }
        }
    }
}

/// Reads and builds, and remembers what it tried last.
struct Loader {
    paths: Vec<PathBuf>,
    options: Options,
    generation: u64,
    /// Hash of what was last read, or of the error that reading gave.
    tried: Option<u64>,
}

impl Loader {
    fn new(paths: Vec<PathBuf>, options: Options) -> Self {
        Self {
            paths,
            options,
            generation: 0,
            tried: None,
        }
    }

    fn load_first(&mut self) -> Result<Snapshot, SourceError> {
        let sources = read(&self.paths)?;
        self.tried = Some(fingerprint(&sources));
        self.build(&sources)
    }

    /// `None` if the files hold what they held at the last try.
    fn load_changed(&mut self) -> Result<Option<Snapshot>, SourceError> {
        let read = read(&self.paths);
        let tried = match &read {
            Ok(sources) => fingerprint(sources),
            Err(error) => hash(&error.to_string()),
        };
        if self.tried.replace(tried) == Some(tried) {
            return Ok(None);
        }
        self.build(&read?).map(Some)
    }

    fn build(&mut self, sources: &[Source]) -> Result<Snapshot, SourceError> {
        let (mut snapshot, problems) = resources::build(sources, &self.options);
        if problems.iter().any(resources::Problem::is_error) {
            return Err(SourceError::Invalid(problems));
        }
        log::problems(&problems);
        self.generation += 1;
        snapshot.generation = self.generation;
        Ok(snapshot)
    }
}

fn fingerprint(sources: &[Source]) -> u64 {
    let parts: Vec<(&str, &str)> = sources
        .iter()
        .map(|source| (&*source.path, source.text.as_str()))
        .collect();
    hash(&parts)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
pub(crate) mod tests;
