//! One file of text and its changes, for configuration that is no Kubernetes object.

use crate::watching::{Stop, Watching};
use crate::{SourceError, read};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// A file of text that is watched. Watching ends when this is dropped.
#[derive(Debug)]
pub struct TextFile {
    texts: watch::Sender<Arc<str>>,
    stop: Stop,
}

impl TextFile {
    /// Reads `path` and watches it from then on. A file that cannot be read later is told in the
    /// log; the text before it stays.
    ///
    /// Blocks while the file is read for the first time.
    ///
    /// # Errors
    /// [`SourceError`] if the file cannot be read now, or watching cannot be started.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let paths = [path.to_owned()];
        // Watching starts before the first reading, so that no change falls in between.
        let mut watching = Watching::start(&paths);
        let text = move || -> Result<Arc<str>, SourceError> {
            let sources = read(&paths)?;
            let texts: Vec<String> = sources.into_iter().map(|source| source.text).collect();
            Ok(texts.join("\n---\n").into())
        };
        let texts = watch::Sender::new(text()?);
        let stop = watching.stop_handle();
        let told = texts.clone();
        std::thread::Builder::new()
            .name("text-file".to_owned())
            .spawn(move || {
                while watching.wait() {
                    match text() {
                        Ok(text) => {
                            told.send_if_modified(|known| {
                                let changed = *known != text;
                                *known = text;
                                changed
                            });
                        }
                        Err(error) => {
                            tracing::error!(%error, "a changed file cannot be read; what it held stays");
                        }
                    }
                }
            })
            .map_err(SourceError::Watch)?;
        Ok(Self { texts, stop })
    }

    /// What the file holds, and what it holds after changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<str>> {
        self.texts.subscribe()
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

#[cfg(test)]
mod tests;
