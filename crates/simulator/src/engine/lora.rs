//! Adapter slots on the GPU: who is loaded, who is loading, who may be replaced.

use std::collections::VecDeque;

use super::{AdapterId, EngineConfig, Nanos};

#[derive(Debug)]
struct Slot {
    adapter: AdapterId,
    /// When it is, or was, loaded.
    ready: Nanos,
    /// Running requests that use it.
    users: u32,
    used_last: Nanos,
}

/// At most `max` adapters, each loading for a fixed time before its first use.
#[derive(Debug)]
pub(super) struct LoraSlots {
    slots: Vec<Slot>,
    max: usize,
    load: Nanos,
    fetch: Nanos,
    /// Adapters in host memory, the one used longest ago first.
    host: VecDeque<AdapterId>,
    host_max: usize,
}

impl LoraSlots {
    pub(super) fn new(config: &EngineConfig) -> Self {
        Self {
            slots: Vec::new(),
            max: config.max_loras as usize,
            load: config.lora_load,
            fetch: config.lora_fetch,
            host: VecDeque::new(),
            host_max: config.max_cpu_loras as usize,
        }
    }

    /// Whether the adapter can run now. If it is not loaded, starts to load it when a slot is
    /// empty or held by an adapter that is loaded and idle, the least recently used one.
    pub(super) fn ready(&mut self, adapter: AdapterId, now: Nanos) -> bool {
        if let Some(slot) = self.slots.iter().find(|slot| slot.adapter == adapter) {
            return slot.ready <= now;
        }
        if self.slots.len() >= self.max {
            let idle = |slot: &&Slot| slot.users == 0 && slot.ready <= now;
            let oldest = self
                .slots
                .iter()
                .filter(idle)
                .min_by_key(|slot| slot.used_last);
            let Some(out) = oldest.map(|slot| slot.adapter) else {
                return false;
            };
            self.unload(out);
        }
        let ready = now + self.load + self.bring_to_host(adapter);
        self.slots.push(Slot {
            adapter,
            ready,
            users: 0,
            used_last: ready,
        });
        ready <= now
    }

    /// Notes a use of the adapter in host memory; returns how long it takes to get there.
    fn bring_to_host(&mut self, adapter: AdapterId) -> Nanos {
        if self.fetch == 0 {
            return 0;
        }
        let known = self.host.iter().position(|held| *held == adapter);
        if let Some(at) = known {
            self.host.remove(at);
        } else if self.host.len() >= self.host_max {
            self.host.pop_front();
        }
        self.host.push_back(adapter);
        if known.is_some() { 0 } else { self.fetch }
    }

    /// Counts a request that joins the batch.
    pub(super) fn enter(&mut self, adapter: AdapterId, now: Nanos) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.adapter == adapter) {
            slot.users += 1;
            slot.used_last = now;
        }
    }

    /// Counts a request that leaves the batch.
    pub(super) fn leave(&mut self, adapter: AdapterId) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.adapter == adapter) {
            slot.users = slot.users.saturating_sub(1);
        }
    }

    /// Frees the slot of an adapter that nobody uses.
    pub(super) fn unload(&mut self, adapter: AdapterId) -> bool {
        let before = self.slots.len();
        self.slots
            .retain(|slot| slot.adapter != adapter || slot.users > 0);
        self.slots.len() < before
    }

    /// When the next load ends.
    pub(super) fn next_ready(&self, now: Nanos) -> Option<Nanos> {
        self.slots
            .iter()
            .map(|slot| slot.ready)
            .filter(|ready| *ready > now)
            .min()
    }

    /// Distinct adapters in the batch.
    pub(super) fn in_batch(&self) -> usize {
        self.slots.iter().filter(|slot| slot.users > 0).count()
    }

    /// Running requests over all adapters; for tests.
    #[cfg(test)]
    pub(super) fn users(&self) -> u32 {
        self.slots.iter().map(|slot| slot.users).sum()
    }
}
