use crate::read;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long the files must be quiet before they are read: editors and `kubectl` write in steps.
const QUIET: Duration = Duration::from_millis(100);
/// How long a change may be held up by further ones.
const LONGEST_HOLD: Duration = Duration::from_secs(2);
/// How often files are looked at without being told of a change: some file systems tell nothing.
const POLL: Duration = Duration::from_secs(10);
/// Most links that are followed from one path, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Ends the watching thread when its source is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    stopped: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // If the queue is full, the thread is about to wake and sees the flag.
        let _ = self.wake.try_send(());
    }
}

/// Waits for changes of files and directories.
pub(crate) struct Watching {
    paths: Vec<PathBuf>,
    /// `None` if the system cannot watch; changes are then found by looking from time to time.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    stop: Stop,
    changes: Receiver<()>,
    /// Shape of the files when they were last looked at.
    stamps: Vec<Stamp>,
}

/// What tells a changed file from one that is not, without reading it.
type Stamp = (PathBuf, Option<std::time::SystemTime>, u64);

impl Watching {
    /// Starts watching.
    pub(crate) fn start(paths: &[PathBuf]) -> Self {
        // One place is enough: a second change before the first is seen says nothing new.
        let (wake, changes) = sync_channel(1);
        let tell = wake.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| is_change(&event.kind)) {
                let _ = tell.try_send(());
            }
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, seconds = POLL.as_secs(), "cannot watch for changes; looking from time to time instead");
                None
            }
        };
        let mut watching = Self {
            paths: paths.to_vec(),
            watcher,
            watched: BTreeSet::new(),
            stop: Stop {
                stopped: Arc::default(),
                wake,
            },
            changes,
            stamps: Vec::new(),
        };
        watching.follow_links();
        watching.stamps = stamps(&watching.paths);
        watching
    }

    /// What ends the waiting.
    pub(crate) fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits until files may have changed and have been quiet for a while. False if it is time to stop.
    pub(crate) fn wait(&mut self) -> bool {
        loop {
            let told = self.changes.recv_timeout(POLL).is_ok();
            if self.is_stopped() {
                return false;
            }
            if told || stamps(&self.paths) != self.stamps {
                break;
            }
        }
        let first = Instant::now();
        while first.elapsed() < LONGEST_HOLD && self.changes.recv_timeout(QUIET).is_ok() {
            if self.is_stopped() {
                return false;
            }
        }
        // Links may lead elsewhere now. What changes from here on sends another signal.
        self.follow_links();
        self.stamps = stamps(&self.paths);
        true
    }

    fn is_stopped(&self) -> bool {
        self.stop.stopped.load(Ordering::Acquire)
    }

    /// Watches the directories that matter now, and no others.
    fn follow_links(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let wanted = directories(&self.paths);
        for gone in self.watched.difference(&wanted) {
            // Fails if the directory is gone, which ended the watch.
            let _ = watcher.unwatch(gone);
        }
        let mut watched = BTreeSet::new();
        for directory in wanted {
            // Watching again costs little, and is needed if the directory was made anew.
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(directory)),
                Err(error) => {
                    tracing::debug!(directory = %directory.display(), %error, "cannot watch");
                }
            }
        }
        self.watched = watched;
    }
}

/// Reading is not a change, and would otherwise set off the next reading.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let files = read::files(paths).unwrap_or_default();
    let stamp = |path: PathBuf| {
        let meta = fs::metadata(&path).ok();
        let modified = meta.as_ref().and_then(|meta| meta.modified().ok());
        (path, modified, meta.map_or(0, |meta| meta.len()))
    };
    files.into_iter().map(stamp).collect()
}

/// The directories in which something may happen that changes what the paths hold: those of the
/// paths, of every link on the way, and of where they end. Files are never watched themselves,
/// because a file that is replaced takes its watch with it.
fn directories(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::new();
    for path in paths {
        along(path, &mut directories);
        if path.is_dir() {
            directories.insert(path.clone());
        }
    }
    for file in read::files(paths).unwrap_or_default() {
        along(&file, &mut directories);
    }
    directories
}

/// Adds the parent of `path`, and of every link that it leads through.
fn along(path: &Path, directories: &mut BTreeSet<PathBuf>) {
    let mut current = path.to_owned();
    for _ in 0..MAX_LINKS {
        let parent = match current.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return,
        };
        directories.insert(parent.to_owned());
        let Ok(target) = fs::read_link(&current) else {
            break;
        };
        current = parent.join(target);
    }
    // Links may also stand in the middle of the path.
    if let Ok(end) = fs::canonicalize(path)
        && let Some(parent) = end.parent()
    {
        directories.insert(parent.to_owned());
    }
}

#[cfg(test)]
mod tests;
