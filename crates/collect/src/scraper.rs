//! Keeping the signals of many endpoints fresh.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use rustls::ClientConfig;
use signals::Endpoint;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::scrape::{self, Shared};
use crate::{Clock, Observer, ScrapeStats};

/// How endpoints are scraped.
#[derive(Clone)]
pub struct ScrapeOptions {
    /// Time between two scrapes of one endpoint.
    pub period: Duration,
    /// Each pause is the period times a random factor between `1 - jitter` and `1 + jitter`, so
    /// that endpoints do not answer in step.
    pub jitter: f64,
    /// Longest time for one scrape, connecting included.
    pub timeout: Duration,
    /// Pauses double with each failure in a row, up to this.
    pub pause_max: Duration,
    /// Path of the metrics page. When it yields no model server's metrics before the engine is
    /// known, `/prometheus/metrics` (TensorRT-LLM's place) is tried as well.
    pub path: Uri,
    /// Port of the metrics page, where it is not the serving port (Triton's is 8002).
    pub port: Option<u16>,
    /// Largest page, bytes.
    pub body_max: usize,
    /// How often `/v1/models` is asked for; `None` = never.
    pub models_period: Option<Duration>,
    /// TLS for endpoints that need it.
    pub tls: Option<Arc<ClientConfig>>,
    /// Let refused connections make endpoints suspect, and the first answer after one clear them.
    /// Only applies when metrics come from the serving port.
    pub mark_suspect: bool,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            period: Duration::from_millis(200),
            jitter: 0.1,
            timeout: Duration::from_secs(1),
            pause_max: Duration::from_secs(5),
            path: Uri::from_static("/metrics"),
            port: None,
            body_max: 4 << 20,
            models_period: Some(Duration::from_secs(10)),
            tls: None,
            mark_suspect: true,
        }
    }
}

/// Scrapes every endpoint it is told of, each in a task of its own, until told it is gone.
///
/// Give it to a [`Membership`](crate::Membership) as an observer. Dropping it stops all tasks.
pub struct Scraper {
    runtime: Handle,
    shared: Arc<Shared>,
    tasks: Mutex<HashMap<u32, AbortHandle>>,
}

impl Scraper {
    /// A scraper without endpoints, whose tasks will run on `runtime`.
    #[must_use]
    pub fn new(options: ScrapeOptions, clock: Arc<dyn Clock>, runtime: Handle) -> Self {
        Self {
            runtime,
            shared: Arc::new(Shared::new(options, clock)),
            tasks: Mutex::default(),
        }
    }

    /// Counters over all endpoints.
    #[must_use]
    pub fn stats(&self) -> &ScrapeStats {
        self.shared.stats()
    }

    fn with_tasks(&self, change: impl FnOnce(&mut HashMap<u32, AbortHandle>)) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut tasks);
        self.stats().set_following(tasks.len());
    }
}

impl Observer for Scraper {
    fn added(&self, endpoint: &Arc<Endpoint>) {
        self.with_tasks(|tasks| {
            let follow = scrape::follow(self.shared.clone(), endpoint.clone());
            let task = self.runtime.spawn(follow).abort_handle();
            if let Some(earlier) = tasks.insert(endpoint.id(), task) {
                earlier.abort();
            }
        });
    }

    fn removed(&self, endpoint: &Arc<Endpoint>) {
        self.with_tasks(|tasks| {
            if let Some(task) = tasks.remove(&endpoint.id()) {
                task.abort();
            }
        });
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.with_tasks(|tasks| tasks.drain().for_each(|(_, task)| task.abort()));
    }
}
