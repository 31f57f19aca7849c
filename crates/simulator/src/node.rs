//! A simulated server without sockets: an engine, and the faults that befall it, in virtual time.
//!
//! A [`Node`] is driven like its [`Engine`]; [`Node::inject`] brings a [`Fault`], and the node ends
//! by itself what lasts for a while. Whatever is random follows from the seed and from how many
//! draws were made before, so equal calls meet equal faults.

use thiserror::Error;

use crate::engine::{
    CacheChange, Engine, EngineConfig, Event, Gauges, Nanos, Refusal, RequestId, Submission,
    Summary,
};

/// Something that goes wrong at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// All requests and the cache are lost; nothing is taken, and nobody answers, until it is up
    /// again.
    Crash {
        /// From the crash to the first request taken.
        down: Nanos,
    },
    /// No step makes progress. Requests are taken and metrics are answered.
    Hang {
        /// How long.
        lasts: Nanos,
    },
    /// Each step takes `factor` times as long.
    Slow {
        /// Above 1 for slower.
        factor: f64,
        /// How long.
        lasts: Nanos,
    },
    /// Requests are refused at random.
    Errors {
        /// Share of requests, 0 to 1.
        share: f64,
        /// How long.
        lasts: Nanos,
    },
    /// Scrapes see the gauges as they were when this began.
    StaleMetrics {
        /// How long.
        lasts: Nanos,
    },
    /// Cache changes get lost at random on their way out.
    LostCacheChanges {
        /// Share of changes, 0 to 1.
        share: f64,
        /// How long.
        lasts: Nanos,
    },
    /// The prefix cache is dropped, and says so.
    FlushCache,
}

/// Why a node did not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejection {
    /// It has crashed and is not up again.
    #[error("the server is down")]
    Down,
    /// An injected error.
    #[error("the server answers with an injected error")]
    Error,
    /// The engine does not want it.
    #[error(transparent)]
    Engine(#[from] Refusal),
}

/// A value that holds until a time.
#[derive(Debug, Clone, Copy, Default)]
struct Until<T> {
    value: T,
    until: Nanos,
}

impl<T: Copy> Until<T> {
    fn at(&self, now: Nanos) -> Option<T> {
        (now < self.until).then_some(self.value)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Node {
    engine: Engine,
    seed: u64,
    draws: u64,
    down_until: Nanos,
    slow_until: Option<Nanos>,
    usual_pace: f64,
    errors: Until<f64>,
    losses: Until<f64>,
    frozen: Until<()>,
    frozen_gauges: Gauges,
    lost_changes: u64,
    changes: Vec<CacheChange>,
}

impl Node {
    /// A node with an empty cache. It is up at once; [`EngineConfig::startup`] delays its steps.
    pub fn new(config: EngineConfig, seed: u64) -> Self {
        Self {
            usual_pace: config.slow_factor,
            engine: Engine::new(config),
            seed,
            draws: 0,
            down_until: 0,
            slow_until: None,
            errors: Until::default(),
            losses: Until::default(),
            frozen: Until::default(),
            frozen_gauges: Gauges::default(),
            lost_changes: 0,
            changes: Vec::new(),
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether it answers.
    pub fn is_up(&self, now: Nanos) -> bool {
        now >= self.down_until
    }

    /// Takes a request, see [`Engine::submit`].
    ///
    /// # Errors
    ///
    /// [`Rejection`] while it is down, at random under [`Fault::Errors`], or when the engine refuses.
    pub fn submit(&mut self, now: Nanos, submission: Submission) -> Result<RequestId, Rejection> {
        if !self.is_up(now) {
            return Err(Rejection::Down);
        }
        if let Some(share) = self.errors.at(now)
            && self.draw() < share
        {
            return Err(Rejection::Error);
        }
        Ok(self.engine.submit(now, submission)?)
    }

    /// Drops a request, see [`Engine::abort`].
    pub fn abort(&mut self, now: Nanos, id: RequestId) -> Option<Summary> {
        self.engine.abort(now, id)
    }

    /// Frees held blocks, see [`Engine::release`].
    pub fn release(&mut self, id: RequestId) -> bool {
        self.engine.release(id)
    }

    /// When [`advance`](Self::advance) has something to do next.
    pub fn next_event(&self) -> Option<Nanos> {
        self.engine
            .next_event()
            .into_iter()
            .chain(self.slow_until)
            .min()
    }

    /// Runs everything that was due by `now`.
    pub fn advance(&mut self, now: Nanos, events: &mut Vec<Event>) {
        if let Some(end) = self.slow_until.filter(|end| *end <= now) {
            self.engine.advance(end, events);
            self.engine.set_slow_factor(end, self.usual_pace);
            self.slow_until = None;
        }
        self.engine.advance(now, events);
    }

    /// Brings a fault. Requests that a crash loses end in `events` with
    /// [`FinishReason::Lost`](crate::FinishReason::Lost).
    pub fn inject(&mut self, now: Nanos, fault: Fault, events: &mut Vec<Event>) {
        match fault {
            Fault::Crash { down } => {
                let lost = self.engine.crash(now, down);
                self.down_until = now + down;
                let ended = |(id, summary)| Event::Finished { id, summary };
                events.extend(lost.into_iter().map(ended));
            }
            Fault::Hang { lasts } => self.engine.hang(now, lasts),
            Fault::Slow { factor, lasts } => {
                self.engine.set_slow_factor(now, self.usual_pace * factor);
                self.slow_until = Some(now + lasts);
            }
            Fault::Errors { share, lasts } => self.errors = lasting(share, now, lasts),
            Fault::LostCacheChanges { share, lasts } => self.losses = lasting(share, now, lasts),
            Fault::StaleMetrics { lasts } => {
                self.frozen_gauges = self.engine.gauges_at(now);
                self.frozen = lasting((), now, lasts);
            }
            Fault::FlushCache => self.engine.flush_cache(now),
        }
    }

    /// What a scrape at `now` sees; `None` while it is down.
    pub fn scrape(&self, now: Nanos) -> Option<Gauges> {
        if !self.is_up(now) {
            return None;
        }
        let frozen = self.frozen.at(now);
        Some(match frozen {
            Some(()) => self.frozen_gauges.clone(),
            None => self.engine.gauges_at(now),
        })
    }

    /// Moves the cache changes that make it to the outside to `changes`.
    pub fn take_cache_changes(&mut self, now: Nanos, changes: &mut Vec<CacheChange>) {
        let Some(share) = self.losses.at(now) else {
            self.engine.take_cache_changes(changes);
            return;
        };
        let mut all = std::mem::take(&mut self.changes);
        self.engine.take_cache_changes(&mut all);
        for change in all.drain(..) {
            if self.draw() < share {
                self.lost_changes += 1;
            } else {
                changes.push(change);
            }
        }
        self.changes = all;
    }

    /// Cache changes that got lost so far.
    pub fn lost_changes(&self) -> u64 {
        self.lost_changes
    }

    /// A number in 0..1 that follows from the seed and the number of draws before it.
    fn draw(&mut self) -> f64 {
        self.draws += 1;
        let mut mixed = self.seed ^ self.draws.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn lasting<T>(value: T, now: Nanos, lasts: Nanos) -> Until<T> {
    Until {
        value,
        until: now + lasts,
    }
}

#[cfg(test)]
mod tests;
