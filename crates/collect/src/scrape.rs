//! The task that follows one endpoint.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{StatusCode, Uri};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use signals::{Endpoint, Engine, Time, exposition};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connection, Failed};
use crate::{Clock, ScrapeFailure, ScrapeOptions, ScrapeStats, models};

/// Where TensorRT-LLM's own server has its metrics. Its `/metrics` is a JSON page.
const TRTLLM_PATH: &str = "/prometheus/metrics";

/// Pod labels that name the engine: llm-d's, and the Inference Extension's before it.
const ENGINE_LABELS: [&str; 2] = [
    "llm-d.ai/engine-type",
    "inference.networking.k8s.io/engine-type",
];

/// Buffers kept for reuse. Few scrapes are ever in the middle of a page at the same time.
const BUFFERS_KEPT: usize = 16;

/// A buffer that grew beyond this is not kept.
const BUFFER_KEPT_MAX: usize = 512 << 10;

/// What all tasks of a scraper share.
pub(crate) struct Shared {
    options: ScrapeOptions,
    clock: Arc<dyn Clock>,
    stats: ScrapeStats,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Shared {
    pub(crate) fn new(options: ScrapeOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            clock,
            stats: ScrapeStats::default(),
            buffers: Mutex::default(),
        }
    }

    pub(crate) fn stats(&self) -> &ScrapeStats {
        &self.stats
    }

    fn take_buffer(&self) -> Vec<u8> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.pop().unwrap_or_default()
    }

    fn give_buffer(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS_KEPT && buffer.capacity() <= BUFFER_KEPT_MAX {
            buffers.push(buffer);
        }
    }
}

/// Scrapes an endpoint for ever; ends by being aborted.
pub(crate) async fn follow(shared: Arc<Shared>, endpoint: Arc<Endpoint>) {
    let mut follower = Follower::new(shared, endpoint);
    loop {
        follower.turn().await;
        sleep(follower.pause()).await;
    }
}

struct Follower {
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
    connection: Connection,
    path: Uri,
    /// The other place to look, while no metrics were found.
    other_path: Option<Uri>,
    hint: Option<Engine>,
    rng: StdRng,
    /// Failures in a row.
    failures: u32,
    /// Nothing known, working (`false`) or failing (`true`).
    failing: Option<bool>,
    refused: bool,
    models_due: Instant,
}

impl Follower {
    fn new(shared: Arc<Shared>, endpoint: Arc<Endpoint>) -> Self {
        let options = &shared.options;
        let labels = &endpoint.identity().labels;
        let hint = ENGINE_LABELS
            .iter()
            .find_map(|label| Engine::from_label(labels.get(*label)?));
        let trtllm = Uri::from_static(TRTLLM_PATH);
        Self {
            connection: Connection::new(endpoint.identity(), options.port, options.tls.clone()),
            path: options.path.clone(),
            other_path: (options.path != trtllm).then_some(trtllm),
            hint,
            rng: StdRng::seed_from_u64(u64::from(endpoint.id())),
            failures: 0,
            failing: None,
            refused: false,
            models_due: Instant::now(),
            shared,
            endpoint,
        }
    }

    /// One scrape, and a model list when it is time.
    async fn turn(&mut self) {
        match self.scrape().await {
            Ok(bytes) => self.note_ok(bytes),
            Err(failed) => self.note_failed(&failed),
        }
        if let Some(period) = self.shared.options.models_period
            && self.models_due <= Instant::now()
        {
            self.models_due = Instant::now() + period;
            self.ask_models().await;
        }
    }

    /// The time until the next turn.
    fn pause(&mut self) -> Duration {
        let options = &self.shared.options;
        // The first failure changes nothing: it may be a restart.
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = options.period.saturating_mul(1 << doublings);
        let longest = options.pause_max.max(options.period);
        let jitter = options.jitter.clamp(0.0, 1.0);
        pause
            .min(longest)
            .mul_f64(1.0 - jitter + 2.0 * jitter * self.rng.random::<f64>())
    }

    async fn scrape(&mut self) -> Result<usize, Failed> {
        let first = self.scrape_path(false).await;
        let missed = matches!(
            first,
            Err((ScrapeFailure::NotMetrics | ScrapeFailure::Status, _))
        );
        if !missed || self.other_path.is_none() {
            if first.is_ok() {
                // Found: from now on a bad page is a failure, not a wrong place.
                self.other_path = None;
            }
            return first;
        }
        let Ok(bytes) = self.scrape_path(true).await else {
            return first;
        };
        if let Some(other) = self.other_path.take() {
            self.path = other;
        }
        Ok(bytes)
    }

    async fn scrape_path(&mut self, other: bool) -> Result<usize, Failed> {
        let shared = self.shared.clone();
        let mark = self.endpoint.signals().mark();
        let mut body = shared.take_buffer();
        let path = if other {
            self.other_path.as_ref().unwrap_or(&self.path)
        } else {
            &self.path
        };
        let got = get(&mut self.connection, path, &mut body, &shared.options).await;
        let result = got.and_then(|()| {
            let scrape = exposition::read(self.hint, &body)
                .map_err(|error| (ScrapeFailure::NotMetrics, error.to_string()))?;
            self.endpoint
                .signals()
                .apply_since(&scrape, mark, shared.clock.now());
            Ok(body.len())
        });
        shared.give_buffer(body);
        result
    }

    /// Model lists are a convenience: a server without one is no failure.
    async fn ask_models(&mut self) {
        let shared = self.shared.clone();
        let mut body = shared.take_buffer();
        let uri = Uri::from_static("/v1/models");
        if get(&mut self.connection, &uri, &mut body, &shared.options)
            .await
            .is_ok()
            && let Some(names) = models::read(&body)
            && **self.endpoint.signals().models() != names
        {
            self.endpoint.signals().set_models(names);
        }
        shared.give_buffer(body);
    }

    fn note_ok(&mut self, bytes: usize) {
        self.shared.stats.note_ok(bytes);
        self.failures = 0;
        let (name, engine) = (self.endpoint.name(), self.endpoint.signals().engine());
        match self.failing.replace(false) {
            Some(true) => tracing::info!(endpoint = %name, %engine, "metrics are back"),
            Some(false) => {}
            None => tracing::debug!(endpoint = %name, %engine, path = %self.path, "metrics found"),
        }
        if std::mem::take(&mut self.refused) {
            self.endpoint.health().note_success();
        }
    }

    fn note_failed(&mut self, (cause, detail): &Failed) {
        self.shared.stats.note_failed(*cause);
        self.failures = self.failures.saturating_add(1);
        if self.failing.replace(true) != Some(true) {
            let name = self.endpoint.name();
            tracing::warn!(endpoint = %name, %cause, detail, "no metrics from the endpoint");
        }
        let options = &self.shared.options;
        if *cause == ScrapeFailure::Connect && options.mark_suspect && options.port.is_none() {
            self.refused = true;
            let now: Time = self.shared.clock.now();
            self.endpoint.health().note_connect_failure(now);
        }
    }
}

async fn get(
    connection: &mut Connection,
    uri: &Uri,
    body: &mut Vec<u8>,
    options: &ScrapeOptions,
) -> Result<(), Failed> {
    let answer = timeout(options.timeout, connection.get(uri, body, options.body_max)).await;
    match answer {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err((ScrapeFailure::Status, format!("{uri} answered {status}"))),
        Ok(Err(failed)) => Err(failed),
        Err(_) => Err((
            ScrapeFailure::Timeout,
            format!("no answer within {:?}", options.timeout),
        )),
    }
}
