//! The in-flight ledger: what our own requests ask of an endpoint right now.
//!
//! Engines move their gauges only at the end of a step and are then polled; every request that
//! arrives in between sees the same minimum and joins the same queue. Our own dispatches are known
//! without delay, so the ledger is the primary load signal and gauges correct it.

mod pace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pace::Pace;
pub use pace::PrefillPace;

use crate::{Endpoint, Time};

/// How much more one prompt token costs per token of context before it, as a share of the cost of
/// a token with none. Attention grows with context; measured kernel tables of H100 and A100 for
/// 8B to 70B models give 2.2e-5 to 6.7e-5.
const ATTENTION_PER_TOKEN: f64 = 3e-5;

/// First tokens after which the learned pace stands for a look at the answer.
const SAMPLES_TRUSTED: u32 = 32;

/// Most of anything that one request books. A client may ask for any number of tokens; with this
/// bound a sum over a billion requests cannot overflow.
const BOOKED_MAX: u64 = 1 << 32;

/// What one request asks of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Prompt tokens the endpoint has to compute: those not in its prefix cache.
    pub prefill_tokens: u64,
    /// The same, each token weighted by what attending to its context costs; in units of the cost
    /// of one token without context.
    pub prefill_work: u64,
    /// All tokens that will occupy KV space: prompt and expected output.
    pub total_tokens: u64,
}

impl Load {
    /// The load of a prompt with `cached` tokens in the prefix cache and `uncached` to compute,
    /// that is expected to produce `output` tokens.
    #[must_use]
    pub fn estimate(uncached: u64, cached: u64, output: u64) -> Self {
        Self {
            prefill_tokens: uncached,
            prefill_work: Self::work(uncached, cached).round() as u64,
            total_tokens: uncached.saturating_add(cached).saturating_add(output),
        }
    }

    /// [`Load::prefill_work`] of so many tokens to compute after so many cached ones.
    #[must_use]
    #[inline]
    pub fn work(uncached: u64, cached: u64) -> f64 {
        let mean_context = cached as f64 + uncached as f64 / 2.0;
        uncached as f64 * (1.0 + ATTENTION_PER_TOKEN * mean_context)
    }
}

/// A reading of the [`Ledger`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LedgerView {
    /// Requests in flight.
    pub requests: u64,
    /// Of those, requests that have not produced their first token.
    pub before_first_token: u64,
    /// Uncached prompt tokens of requests before their first token.
    pub prefill_tokens: u64,
    /// The same in the units of [`Load::prefill_work`].
    pub prefill_work: u64,
    /// Prompt and expected output tokens of all requests in flight.
    pub total_tokens: u64,
    /// What prefill costs on this endpoint, as learned.
    pub pace: PrefillPace,
}

impl LedgerView {
    /// Requests past their first token: they decode.
    #[must_use]
    pub fn decoding(&self) -> u64 {
        self.requests.saturating_sub(self.before_first_token)
    }
}

/// Sums over the live [`Reservation`]s of one endpoint. Every sum is zero when none is alive.
#[derive(Debug, Default)]
pub struct Ledger {
    requests: AtomicU64,
    before_first_token: AtomicU64,
    prefill_tokens: AtomicU64,
    prefill_work: AtomicU64,
    total_tokens: AtomicU64,
    pace: Pace,
}

impl Ledger {
    /// Books `load` on `endpoint` until the returned guard is dropped. Amounts beyond 2^32 are cut
    /// to it.
    #[must_use = "dropping the reservation frees it"]
    pub fn reserve(endpoint: &Arc<Endpoint>, load: Load, now: Time) -> Reservation {
        let load = Load {
            prefill_tokens: load.prefill_tokens.min(BOOKED_MAX),
            prefill_work: load.prefill_work.min(BOOKED_MAX),
            total_tokens: load.total_tokens.min(BOOKED_MAX),
        };
        let ledger = endpoint.ledger();
        ledger.requests.fetch_add(1, Relaxed);
        if ledger.before_first_token.fetch_add(1, Relaxed) == 0 {
            ledger.pace.busy_from(now);
        }
        ledger
            .prefill_tokens
            .fetch_add(load.prefill_tokens, Relaxed);
        ledger.prefill_work.fetch_add(load.prefill_work, Relaxed);
        ledger.total_tokens.fetch_add(load.total_tokens, Relaxed);
        endpoint.signals().note_sent(load.prefill_tokens);
        Reservation {
            endpoint: Arc::clone(endpoint),
            load,
            prefilling: true,
        }
    }

    /// Reads all sums. Not one transaction: a reservation made meanwhile may be seen in part.
    #[must_use]
    #[inline]
    pub fn view(&self) -> LedgerView {
        LedgerView {
            requests: self.requests.load(Relaxed),
            before_first_token: self.before_first_token.load(Relaxed),
            prefill_tokens: self.prefill_tokens.load(Relaxed),
            prefill_work: self.prefill_work.load(Relaxed),
            total_tokens: self.total_tokens.load(Relaxed),
            pace: self.pace.read(),
        }
    }
}

/// One request's booking on one endpoint. Dropping it frees what it still holds.
#[derive(Debug)]
pub struct Reservation {
    endpoint: Arc<Endpoint>,
    load: Load,
    prefilling: bool,
}

impl Reservation {
    /// The endpoint the booking is on.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// What was booked.
    #[must_use]
    pub fn load(&self) -> Load {
        self.load
    }

    /// How long the endpoint will take, by its learned pace, to prefill this and all that is in flight before its first
    /// token. `None` once the prefill is over or while too little was learned.
    #[must_use]
    pub fn expected_first_token(&self) -> Option<Duration> {
        let view = self.endpoint.ledger().view();
        let learned = view.pace.samples >= SAMPLES_TRUSTED;
        (self.prefilling && learned).then(|| {
            let requests = view.before_first_token as f32;
            let seconds = view.pace.seconds(requests, view.prefill_work as f32);
            Duration::try_from_secs_f32(seconds).unwrap_or(Duration::MAX)
        })
    }

    /// The first token of a streamed answer arrived at `now`: the prefill part is given back, and
    /// the endpoint's pace learns from the time it took. Further calls do nothing.
    pub fn first_token(&mut self, now: Time) {
        if self.prefilling {
            self.endpoint
                .ledger()
                .pace
                .observe(self.load.prefill_work, now);
            self.end_prefill();
            self.endpoint.signals().note_started();
        }
    }

    /// Prefill is over, but when it ended is not known (an answer that is not streamed): gives the
    /// prefill part back and learns nothing. Further calls do nothing.
    pub fn prefill_done(&mut self) {
        if self.prefilling {
            self.end_prefill();
            self.endpoint.signals().note_started();
        }
    }

    fn end_prefill(&mut self) {
        self.prefilling = false;
        let ledger = self.endpoint.ledger();
        ledger.before_first_token.fetch_sub(1, Relaxed);
        ledger
            .prefill_tokens
            .fetch_sub(self.load.prefill_tokens, Relaxed);
        ledger
            .prefill_work
            .fetch_sub(self.load.prefill_work, Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.prefill_done();
        let ledger = self.endpoint.ledger();
        ledger.requests.fetch_sub(1, Relaxed);
        ledger
            .total_tokens
            .fetch_sub(self.load.total_tokens, Relaxed);
        self.endpoint.signals().note_ended();
    }
}

#[cfg(test)]
mod tests;
