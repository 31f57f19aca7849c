//! What a model server says about itself, and how much of that still holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::{Engine, LoraState, Scrape, Time};

/// Scraped gauges older than this are no information any more. The reference picker uses the same
/// two seconds for its `--metrics-staleness-threshold`.
pub const STALE_AFTER: Duration = Duration::from_secs(2);

/// Load of a server in the terms of its own metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Requests waiting to be scheduled.
    pub waiting: u32,
    /// Requests in the running batch.
    pub running: u32,
    /// Share of KV-cache space in use. Scraped values lie in 0..=1; corrected ones may exceed 1,
    /// which says that more was sent than fits.
    pub kv_usage: f32,
}

/// A reading of [`ServingState`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// The gauges as last scraped; all zero before the first scrape.
    pub scraped: Gauges,
    /// The gauges with our own traffic since that scrape added (see [`ServingState::view`]).
    pub corrected: Gauges,
    /// Tokens in one KV block; 0 = unknown.
    pub block_size: u32,
    /// KV blocks of the server; 0 = unknown.
    pub blocks: u32,
    /// The server reports LoRA adapters; see [`ServingState::lora`].
    pub reports_adapters: bool,
    /// The engine, once recognised.
    pub engine: Engine,
    /// The engine has put its weights away: do not route to it.
    pub sleeping: bool,
    /// Time since the last scrape; `None` before the first.
    pub age: Option<Duration>,
    /// The last scrape is at most [`STALE_AFTER`] old.
    pub fresh: bool,
}

impl Signals {
    /// KV-cache capacity in tokens; 0 = unknown.
    #[must_use]
    pub fn kv_capacity_tokens(&self) -> u64 {
        u64::from(self.block_size) * u64::from(self.blocks)
    }
}

/// A number about an endpoint that is none of the usual gauges: a metric of the user's choice, GPU
/// utilisation, an aggregate of another cluster's pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// What it is, such as `GPUUtilization`.
    pub key: Arc<str>,
    /// Name of the plugin that brings it; empty for some.
    pub producer: Arc<str>,
    /// The value.
    pub value: f64,
}

/// Where our own traffic stood when a scrape was asked for. See [`ServingState::mark`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ScrapeMark {
    sent: u64,
    started: u64,
    ended: u64,
    prefill_tokens: u64,
}

/// Running totals of our own traffic to the endpoint. They only grow; their differences since the
/// last scrape correct the scraped gauges.
#[derive(Debug, Default)]
struct Traffic {
    sent: AtomicU64,
    started: AtomicU64,
    ended: AtomicU64,
    prefill_tokens: AtomicU64,
}

impl Traffic {
    fn now(&self) -> ScrapeMark {
        ScrapeMark {
            // Read in the reverse order of a request's life, so that a request that moves on
            // meanwhile is never seen to have ended before it was sent.
            ended: self.ended.load(Relaxed),
            started: self.started.load(Relaxed),
            prefill_tokens: self.prefill_tokens.load(Relaxed),
            sent: self.sent.load(Relaxed),
        }
    }

    fn set(&self, mark: ScrapeMark) {
        self.sent.store(mark.sent, Relaxed);
        self.started.store(mark.started, Relaxed);
        self.ended.store(mark.ended, Relaxed);
        self.prefill_tokens.store(mark.prefill_tokens, Relaxed);
    }
}

/// The hot state of an endpoint as its engine reports it. All atomic: read at every decision,
/// written by one scraper.
///
/// Readings of several fields are not one transaction; a decision may see a waiting count of one
/// scrape beside a running count of the next. Both are true enough.
#[derive(Debug, Default)]
pub struct ServingState {
    updated_at: AtomicU64,
    waiting: AtomicU32,
    running: AtomicU32,
    kv_usage: AtomicU32,
    block_size: AtomicU32,
    blocks: AtomicU32,
    reports_adapters: AtomicBool,
    engine: AtomicU8,
    sleeping: AtomicBool,
    total: Traffic,
    at_scrape: Traffic,
    lora: ArcSwap<LoraState>,
    models: ArcSwap<Vec<Arc<str>>>,
    scalars: ArcSwap<Vec<Scalar>>,
}

impl ServingState {
    /// Notes where our own traffic stands. Take it just before asking the server for its metrics
    /// and hand it to [`ServingState::apply_since`]: requests sent while the answer is under way
    /// are then counted as not yet in the gauges.
    #[must_use]
    pub fn mark(&self) -> ScrapeMark {
        self.total.now()
    }

    /// Takes in a scrape that was asked for at `mark`. What it does not mention keeps its value.
    pub fn apply_since(&self, scrape: &Scrape, mark: ScrapeMark, now: Time) {
        store(&self.waiting, scrape.waiting);
        store(&self.running, scrape.running);
        store(&self.kv_usage, scrape.kv_usage.map(f32::to_bits));
        store(&self.block_size, scrape.block_size);
        store(&self.blocks, scrape.blocks);
        if let Some(sleeping) = scrape.sleeping {
            self.sleeping.store(sleeping, Relaxed);
        }
        if scrape.engine != Engine::Unknown {
            self.engine.store(scrape.engine as u8, Relaxed);
        }
        if let Some(lora) = &scrape.lora {
            self.set_lora(lora);
        }
        self.at_scrape.set(mark);
        self.updated_at.store(now.as_nanos(), Relaxed);
    }

    /// Takes in a scrape that is true as of now.
    pub fn apply(&self, scrape: &Scrape, now: Time) {
        self.apply_since(scrape, self.mark(), now);
    }

    /// Reads everything a decision needs.
    ///
    /// Corrected gauges: of our own requests since the scrape, those sent but not yet answered by
    /// a first token are added to `waiting`, those answered but not ended are added to `running`,
    /// and the prompt tokens they brought are added to the KV share. Never below zero.
    #[must_use]
    #[inline]
    pub fn view(&self, now: Time) -> Signals {
        let updated_at = Time(self.updated_at.load(Relaxed));
        let age = (updated_at != Time::ZERO).then(|| now.saturating_since(updated_at));
        let scraped = Gauges {
            waiting: self.waiting.load(Relaxed),
            running: self.running.load(Relaxed),
            kv_usage: f32::from_bits(self.kv_usage.load(Relaxed)),
        };
        let block_size = self.block_size.load(Relaxed);
        let blocks = self.blocks.load(Relaxed);
        let capacity = u64::from(block_size) * u64::from(blocks);
        Signals {
            scraped,
            corrected: correct(scraped, self.at_scrape.now(), self.total.now(), capacity),
            block_size,
            blocks,
            reports_adapters: self.reports_adapters.load(Relaxed),
            engine: Engine::from_u8(self.engine.load(Relaxed)),
            sleeping: self.sleeping.load(Relaxed),
            age,
            fresh: age.is_some_and(|age| age <= STALE_AFTER),
        }
    }

    /// KV-cache capacity in tokens; 0 = unknown.
    #[must_use]
    pub fn kv_capacity_tokens(&self) -> u64 {
        u64::from(self.block_size.load(Relaxed)) * u64::from(self.blocks.load(Relaxed))
    }

    /// Whether the server has put its weights away.
    #[must_use]
    pub fn is_sleeping(&self) -> bool {
        self.sleeping.load(Relaxed)
    }

    /// The engine, once recognised.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::from_u8(self.engine.load(Relaxed))
    }

    /// When the last scrape was taken in; [`Time::ZERO`] = never.
    #[must_use]
    pub fn updated_at(&self) -> Time {
        Time(self.updated_at.load(Relaxed))
    }

    /// Adapters, as last reported.
    #[must_use]
    pub fn lora(&self) -> arc_swap::Guard<Arc<LoraState>> {
        self.lora.load()
    }

    /// Models of the server's `/v1/models`, as last asked; empty = not asked yet.
    #[must_use]
    pub fn models(&self) -> arc_swap::Guard<Arc<Vec<Arc<str>>>> {
        self.models.load()
    }

    /// Replaces the model list.
    pub fn set_models(&self, models: Vec<Arc<str>>) {
        self.models.store(Arc::new(models));
    }

    /// A number of that name and producer, as last told.
    #[must_use]
    pub fn scalar(&self, key: &str, producer: &str) -> Option<f64> {
        let scalars = self.scalars.load();
        let fits = |scalar: &&Scalar| *scalar.key == *key && *scalar.producer == *producer;
        scalars.iter().find(fits).map(|scalar| scalar.value)
    }

    /// Replaces the numbers that `producer` brings.
    pub fn set_scalars(&self, producer: &str, scalars: &[Scalar]) {
        self.scalars.rcu(|known| {
            let others = known.iter().filter(|scalar| *scalar.producer != *producer);
            others.chain(scalars).cloned().collect::<Vec<_>>()
        });
    }

    fn set_lora(&self, lora: &LoraState) {
        let known = self.lora.load();
        // A row without the label says nothing about the limit.
        let max = if lora.max == 0 { known.max } else { lora.max };
        self.reports_adapters.store(true, Relaxed);
        // Twenty scrapes a second mostly repeat themselves.
        let same = known.running == lora.running && known.waiting == lora.waiting;
        if !same || known.max != max {
            self.lora.store(Arc::new(LoraState {
                max,
                ..lora.clone()
            }));
        }
    }

    pub(crate) fn note_sent(&self, prefill_tokens: u64) {
        self.total.sent.fetch_add(1, Relaxed);
        self.total.prefill_tokens.fetch_add(prefill_tokens, Relaxed);
    }

    pub(crate) fn note_started(&self) {
        self.total.started.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_ended(&self) {
        self.total.ended.fetch_add(1, Relaxed);
    }
}

fn store(cell: &AtomicU32, value: Option<u32>) {
    if let Some(value) = value {
        cell.store(value, Relaxed);
    }
}

fn correct(scraped: Gauges, then: ScrapeMark, now: ScrapeMark, capacity_tokens: u64) -> Gauges {
    let sent = now.sent.saturating_sub(then.sent);
    let started = now.started.saturating_sub(then.started);
    let ended = now.ended.saturating_sub(then.ended);
    let tokens = now.prefill_tokens.saturating_sub(then.prefill_tokens);
    let shift = |base: u32, up: u64, down: u64| {
        let sum = (u64::from(base) + up).saturating_sub(down);
        u32::try_from(sum).unwrap_or(u32::MAX)
    };
    let added = match capacity_tokens {
        0 => 0.0,
        capacity => (tokens as f64 / capacity as f64) as f32,
    };
    Gauges {
        waiting: shift(scraped.waiting, sent, started),
        running: shift(scraped.running, started, ended),
        kv_usage: scraped.kv_usage + added,
    }
}

#[cfg(test)]
mod tests;
