//! Forming a step, and booking what it has computed.

use std::collections::BTreeSet;

use super::{
    AdapterId, CacheChange, Engine, Event, FinishReason, Gauges, Nanos, RequestId, TokenEvents,
    pool::{BlockId, BlockPool},
    request::Request,
};
use crate::perf::StepWork;

/// Nanoseconds in a millisecond.
const NANOS_PER_MS: f64 = 1e6;

/// A step under way, or a stretch of equal ones.
#[derive(Debug, Default, Clone)]
pub(super) struct Step {
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    /// How many steps these are. More than one only where all entries decode.
    pub(super) steps: u32,
    /// Requests with the tokens that each gets computed in a step.
    pub(super) entries: Vec<(RequestId, u32)>,
    /// Work of the first step.
    pub(super) work: StepWork,
    /// Tokens that may still be added.
    pub(super) budget: u32,
}

impl Step {
    pub(super) fn is_full(&self) -> bool {
        self.budget == 0
    }

    /// Tokens of the request that this step can compute.
    pub(super) fn share_of(&self, request: &Request, limit: u32) -> u32 {
        request.remaining().min(self.budget.min(limit))
    }

    pub(super) fn add(&mut self, id: RequestId, request: &Request, tokens: u32) {
        if request.decodes() {
            self.work.add_decode(request.known());
        } else {
            self.work.add_prefill(request.computed, tokens);
        }
        self.budget = self.budget.saturating_sub(tokens);
        self.entries.push((id, tokens));
    }
}

impl Engine {
    /// Starts a step at `now` if there is anything to compute; otherwise asks to be woken when an
    /// adapter has loaded or KV entries have come.
    pub(super) fn start_step(&mut self, now: Nanos, events: &mut Vec<Event>) {
        if now < self.stalled_until {
            self.wake = Some(self.stalled_until).filter(|_| self.requests.len() > 0);
            return;
        }
        let mut step = Step {
            start: now,
            steps: 1,
            entries: std::mem::take(&mut self.spare_entries),
            budget: self.config.max_num_batched_tokens,
            ..Step::default()
        };
        let crowded = self.make_room();
        self.add_running(&mut step, true);
        self.add_running(&mut step, false);
        let mut refused = false;
        if !crowded {
            self.join_fetched(now, &mut step);
            refused = self.admit(now, &mut step, events);
        }
        if step.entries.is_empty() {
            self.wake = self.next_wake(now);
            self.publish();
            return;
        }
        step.steps = self.stretch_of(&step, now, refused);
        step.end = if step.steps > 1 {
            self.stretch_end(&step)
        } else {
            now + nanos(self.config.perf.step_ms(&step.work), self.factor(now))
        };
        self.step = Some(step);
    }

    /// Books a step that has ended: computed blocks become findable, tokens go out.
    pub(super) fn finish_step(&mut self, mut step: Step, events: &mut Vec<Event>) {
        if step.steps > 1 {
            self.finish_ahead(&step, events);
        }
        let every_token = self.config.token_events == TokenEvents::All;
        let mut ended = false;
        for (id, tokens) in step.entries.drain(..) {
            // Aborted meanwhile?
            let Some(request) = self.requests.get_mut(id) else {
                continue;
            };
            request.computed += tokens;
            commit_computed(&mut self.pool, id, request, &self.config);
            if request.remaining() > 0 {
                continue;
            }
            if request.output_tokens > request.emitted {
                let index = request.emitted;
                request.emitted += 1;
                self.counters.generation_tokens += 1;
                if every_token || index == 0 {
                    events.push(Event::Token {
                        id,
                        at: step.end,
                        index,
                    });
                }
            }
            if request.first_token.is_none() {
                request.first_token = Some(step.end);
                self.counters.prompt_tokens += u64::from(request.prompt_tokens);
            }
            if request.is_complete() {
                ended = true;
                self.complete(id, step.end, events);
            }
        }
        self.spare_entries = step.entries;
        self.counters.steps += 1;
        if ended {
            let requests = &self.requests;
            self.running.retain(|id| requests.get(*id).is_some());
        }
        self.publish();
    }

    fn complete(&mut self, id: RequestId, at: Nanos, events: &mut Vec<Event>) {
        if let Some(mut request) = self.requests.remove(id) {
            if request.hold {
                let blocks = std::mem::take(&mut request.blocks);
                self.hold(id, blocks);
                self.leave_adapter(&request);
            } else {
                self.give_back(&request);
            }
            let summary = request.summary(at, FinishReason::Complete);
            events.push(Event::Finished { id, summary });
        }
    }

    /// Preempts the youngest until the next token of every decoding request has a block. Returns
    /// whether anyone had to go.
    fn make_room(&mut self) -> bool {
        let block_size = self.config.block_size;
        let mut needed: u32 = self
            .running
            .iter()
            .filter_map(|id| self.requests.get(*id))
            .map(|request| request.missing_blocks(block_size))
            .sum();
        let mut crowded = false;
        while needed > self.pool.free() {
            let Some(youngest) = self.running.pop() else {
                break;
            };
            if let Some(request) = self.requests.get(youngest) {
                needed -= request.missing_blocks(block_size);
            }
            self.preempt(youngest);
            crowded = true;
        }
        crowded
    }

    fn preempt(&mut self, id: RequestId) {
        let Some(request) = self.requests.get_mut(id) else {
            return;
        };
        release_blocks(&mut self.pool, &request.blocks);
        request.blocks.clear();
        (request.computed, request.committed) = (0, 0);
        request.preemptions += 1;
        if let Some(adapter) = request.adapter {
            self.lora.leave(adapter);
        }
        self.counters.preemptions += 1;
        self.waiting.push_front(id);
    }

    /// Adds the running requests that decode, or those that still prefill.
    fn add_running(&mut self, step: &mut Step, decodes: bool) {
        let block_size = self.config.block_size;
        for id in &self.running {
            let Some(request) = self.requests.get_mut(*id) else {
                continue;
            };
            if request.decodes() != decodes {
                continue;
            }
            let tokens = step.share_of(request, self.config.long_prefill_threshold);
            if tokens == 0 {
                continue;
            }
            for _ in 0..request.missing_blocks(block_size) {
                // `make_room` has seen to it that there is one.
                request.blocks.extend(self.pool.allocate());
            }
            step.add(*id, request, tokens);
        }
    }

    /// Admits waiting requests in order. One whose adapter is not there is passed over; one whose
    /// blocks are not there holds up those behind it. Returns whether the next in line has come
    /// and lacks a slot or blocks.
    fn admit(&mut self, now: Nanos, step: &mut Step, events: &mut Vec<Event>) -> bool {
        let mut place = 0;
        while step.budget > 0 {
            let Some(id) = self.waiting.get(place).copied() else {
                break;
            };
            let Some(request) = self.requests.get(id) else {
                break;
            };
            if request.arrived > now {
                break;
            }
            if self.running.len() >= self.config.max_num_seqs as usize {
                return true;
            }
            if request
                .adapter
                .is_some_and(|adapter| !self.lora.ready(adapter, now))
            {
                place += 1;
                continue;
            }
            if !self.admit_one(id, now, step, events) {
                return true;
            }
            self.waiting.remove(place);
        }
        false
    }

    /// Gives a waiting request its blocks and its share of the step, if its whole known sequence
    /// fits.
    fn admit_one(
        &mut self,
        id: RequestId,
        now: Nanos,
        step: &mut Step,
        events: &mut Vec<Event>,
    ) -> bool {
        let block_size = self.config.block_size;
        let reserve = self.reserve();
        let Some(request) = self.requests.get_mut(id) else {
            return false;
        };
        let hits = if self.config.prefix_caching {
            // At least one token must be computed, or nothing could be sampled.
            let limit = ((request.known() - 1) / block_size) as usize;
            let hashes = request.hashes.get(..limit).unwrap_or(&request.hashes);
            self.pool.matching(hashes)
        } else {
            0
        };
        let shared = request.hashes.get(..hits).unwrap_or_default();
        let fresh = request.known().div_ceil(block_size) - hits as u32;
        if fresh + self.pool.free_among(shared) + reserve > self.pool.free() {
            return false;
        }
        for hash in shared {
            request.blocks.extend(self.pool.share(*hash));
        }
        for _ in 0..fresh {
            request.blocks.extend(self.pool.allocate());
        }
        request.committed = hits;
        request.computed = hits as u32 * block_size;
        let first_time = request.scheduled.is_none();
        if first_time {
            request.scheduled = Some(now);
            request.cached_tokens = request.computed;
            self.counters.cache_queries += u64::from(request.prompt_tokens);
            self.counters.cache_hits += u64::from(request.computed);
            events.push(Event::Scheduled {
                id,
                at: now,
                cached_tokens: request.computed,
            });
        }
        if let Some(adapter) = request.adapter {
            self.lora.enter(adapter, now);
        }
        if request.is_remote() {
            self.fetch(id, now, events);
            return true;
        }
        let tokens = step.share_of(request, self.config.long_prefill_threshold);
        step.add(id, request, tokens);
        self.running.push(id);
        true
    }

    /// Blocks that admission leaves free, so that those already running can grow.
    fn reserve(&self) -> u32 {
        if self.running.is_empty() {
            return 0;
        }
        (f64::from(self.pool.total()) * self.config.watermark) as u32
    }

    /// Factor on the time of a step that starts now.
    pub(super) fn factor(&self, now: Nanos) -> f64 {
        let adapters = self.lora.in_batch() as f64;
        self.pace(now) * (1.0 + self.config.lora_step_overhead * adapters)
    }

    /// With no step to run: the next load or transfer that ends, or the next arrival that lies
    /// ahead.
    fn next_wake(&self, now: Nanos) -> Option<Nanos> {
        let waiting = || self.waiting.iter().filter_map(|id| self.requests.get(*id));
        let arrival = waiting()
            .map(|request| request.arrived)
            .find(|arrived| *arrived > now);
        let load = self
            .lora
            .next_ready(now)
            .filter(|_| !self.waiting.is_empty());
        let fetched = self.next_fetched(now);
        arrival.into_iter().chain(load).chain(fetched).min()
    }

    /// Returns the blocks and the adapter of a request that has left the table.
    pub(super) fn give_back(&mut self, request: &Request) {
        if request.blocks.is_empty() {
            return;
        }
        release_blocks(&mut self.pool, &request.blocks);
        self.leave_adapter(request);
    }

    fn leave_adapter(&mut self, request: &Request) {
        if let Some(adapter) = request.adapter {
            self.lora.leave(adapter);
        }
    }

    /// Renews the gauges.
    pub(super) fn publish(&mut self) {
        let any = self.requests.any_adapter();
        let adapters = |ids: &mut dyn Iterator<Item = &RequestId>| -> Vec<AdapterId> {
            if !any {
                return Vec::new();
            }
            let found = ids.filter_map(|id| self.requests.get(*id)?.adapter);
            found.collect::<BTreeSet<_>>().into_iter().collect()
        };
        let total = self.pool.total().max(1);
        self.gauges = Gauges {
            running: self.running.len() as u32,
            waiting: (self.waiting.len() + self.fetching.len()) as u32,
            kv_usage: f64::from(self.pool.used()) / f64::from(total),
            running_adapters: adapters(&mut self.running.iter()),
            waiting_adapters: adapters(&mut self.waiting.iter()),
        };
    }
}

/// Tail first, so that of a prefix the end is evicted before its start.
pub(super) fn release_blocks(pool: &mut BlockPool, blocks: &[BlockId]) {
    for block in blocks.iter().rev() {
        pool.release(*block);
    }
}

/// Milliseconds times a factor, at least a nanosecond: time must move on.
pub(super) fn nanos(ms: f64, factor: f64) -> Nanos {
    ((ms * factor * NANOS_PER_MS).round() as Nanos).max(1)
}

fn commit_computed(
    pool: &mut BlockPool,
    id: RequestId,
    request: &mut Request,
    config: &super::EngineConfig,
) {
    if !config.prefix_caching {
        return;
    }
    let full = (request.computed / config.block_size) as usize;
    let fresh = request.committed..full.min(request.hashes.len()).max(request.committed);
    let blocks = request.blocks.get(fresh.clone()).unwrap_or_default();
    let hashes = request.hashes.get(fresh.clone()).unwrap_or_default();
    for ((index, block), hash) in fresh.clone().zip(blocks).zip(hashes) {
        if pool.commit(*block, *hash) {
            let before = index.checked_sub(1);
            pool.note(CacheChange::Stored {
                id,
                index: index as u32,
                hash: *hash,
                parent: before.and_then(|before| request.hashes.get(before).copied()),
            });
        }
    }
    request.committed = fresh.end;
}
