//! What can go wrong with an engine: it slows down, hangs, crashes, loses its cache.

use super::{Engine, FinishReason, LoraSlots, Nanos, RequestId, Summary, pool::BlockPool};

impl Engine {
    /// Changes the factor on step times, from the next step on.
    pub fn set_slow_factor(&mut self, now: Nanos, factor: f64) {
        self.settle(now);
        self.config.slow_factor = factor;
    }

    /// Stands still for so long: the step under way ends later, and none starts.
    pub fn hang(&mut self, now: Nanos, lasts: Nanos) {
        self.settle(now);
        if let Some(step) = &mut self.step {
            step.end += lasts;
        }
        self.stalled_until = self.stalled_until.max(now + lasts);
        self.wake = self.wake.map(|wake| wake.max(self.stalled_until));
    }

    /// Loses all requests and everything in memory, and starts again `down` later. Returns what
    /// was lost. The cache is empty without a [`CacheChange::Cleared`](super::CacheChange::Cleared):
    /// who is dead tells nothing.
    pub fn crash(&mut self, now: Nanos, down: Nanos) -> Vec<(RequestId, Summary)> {
        self.settle(now);
        let running = self.running.drain(..);
        let fetching = self.fetching.drain(..).map(|fetch| fetch.id);
        let waiting = self.waiting.drain(..);
        let ids: Vec<RequestId> = running.chain(fetching).chain(waiting).collect();
        let lost = ids.into_iter().filter_map(|id| {
            let request = self.requests.remove(id)?;
            Some((id, request.summary(now, FinishReason::Lost)))
        });
        let lost = lost.collect();
        self.held.clear();
        self.pool = BlockPool::new(self.config.kv_blocks, self.config.cache_changes);
        self.lora = LoraSlots::new(&self.config);
        (self.step, self.wake) = (None, None);
        self.up_since = now + down;
        self.stalled_until = self.up_since;
        self.publish();
        lost
    }

    /// Drops the prefix cache. Running requests keep their blocks; nobody finds them any more.
    pub fn flush_cache(&mut self, now: Nanos) {
        self.settle(now);
        self.pool.forget_all();
    }

    /// Factor on the time of a step that starts now, for slow and for cold hardware.
    pub(super) fn pace(&self, now: Nanos) -> f64 {
        let (config, age) = (&self.config, now.saturating_sub(self.up_since));
        if age >= config.warm_up {
            return config.slow_factor;
        }
        let cold = 1.0 - age as f64 / config.warm_up as f64;
        config.slow_factor * (1.0 + (config.cold_factor - 1.0) * cold)
    }

    /// Whether [`pace`](Self::pace) no longer changes by itself.
    pub(super) fn is_warm(&self, now: Nanos) -> bool {
        now.saturating_sub(self.up_since) >= self.config.warm_up
    }
}
