//! Prefill and decode on different servers: blocks that are fetched, and blocks that are held.

use super::{Engine, Event, Nanos, RequestId, pool::BlockId, request::Request, schedule::Step};

/// Nanoseconds in a second.
const NANOS_PER_SEC: f64 = 1e9;

/// A request whose KV entries are under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetch {
    pub(super) id: RequestId,
    /// When they are there.
    pub(super) ready: Nanos,
    /// Leading tokens that are computed then.
    computed: u32,
}

impl Engine {
    /// Frees the blocks of an ended request that was submitted to [hold](super::Submission::hold)
    /// them. Returns whether there were any.
    pub fn release(&mut self, id: RequestId) -> bool {
        let Some(place) = self.held.iter().position(|(held, _)| *held == id) else {
            return false;
        };
        let (_, blocks) = self.held.swap_remove(place);
        super::schedule::release_blocks(&mut self.pool, &blocks);
        if self.step.is_none() {
            self.publish();
        }
        true
    }

    /// Requests whose blocks are held for a decode server.
    pub fn held_requests(&self) -> usize {
        self.held.len()
    }

    pub(super) fn hold(&mut self, id: RequestId, blocks: Vec<BlockId>) {
        self.held.push((id, blocks));
    }

    /// Starts the transfer of a request that has just got its blocks, of which the first
    /// `request.computed` tokens are in the cache.
    pub(super) fn fetch(&mut self, id: RequestId, now: Nanos, events: &mut Vec<Event>) {
        let (row, link) = (&self.config.perf, self.config.transfer);
        let Some(request) = self.requests.get_mut(id) else {
            return;
        };
        // The last known token is computed here in any case: its logits give the next one.
        let remote = request.remote_tokens.min(request.known() - 1);
        let missing = remote.saturating_sub(request.computed);
        request.remote_tokens = 0;
        let bytes = f64::from(missing) * row.kv_bytes_per_token as f64;
        let ready = now + link.setup + (bytes / link.bytes_per_sec * NANOS_PER_SEC) as Nanos;
        self.fetching.push(Fetch {
            id,
            ready,
            computed: remote.max(request.computed),
        });
        events.push(Event::Fetching {
            id,
            at: now,
            until: ready,
        });
    }

    /// Adds to the step those whose KV entries have come, oldest first.
    pub(super) fn join_fetched(&mut self, now: Nanos, step: &mut Step) {
        let mut place = 0;
        while let Some(fetch) = self.fetching.get(place).copied() {
            if self.running.len() >= self.config.max_num_seqs as usize || step.is_full() {
                break;
            }
            if fetch.ready > now {
                place += 1;
                continue;
            }
            self.fetching.remove(place);
            if let Some(request) = self.requests.get_mut(fetch.id) {
                request.computed = fetch.computed;
                let tokens = step.share_of(request, self.config.long_prefill_threshold);
                step.add(fetch.id, request, tokens);
                self.running.push(fetch.id);
            }
        }
    }

    /// When the next transfer ends.
    pub(super) fn next_fetched(&self, now: Nanos) -> Option<Nanos> {
        let ready = self.fetching.iter().map(|fetch| fetch.ready);
        ready.filter(|ready| *ready > now).min()
    }
}

impl Request {
    pub(super) fn is_remote(&self) -> bool {
        self.remote_tokens > 0
    }
}
