//! Fast-forward: steps that only decode, taken in one go.
//!
//! While no request ends, none can be admitted and no block gets a hash, each step differs from
//! the one before by one token of context per request, and its time is known. A stretch of such
//! steps is one event. Whoever disturbs it (a submission, an abort, a fault) cuts it at the end of
//! the step that is under way.

use super::{
    Engine, Event, Gauges, Nanos, RequestId, TokenEvents, request::Request, schedule::Step,
};
use crate::perf::DecodeRun;

/// Most steps in a stretch: bounds what a cut has to walk through.
const STEPS_MAX: u32 = 65_536;

impl Engine {
    /// How many steps like this one can be taken in one go, this one included. `refused` says that
    /// the first of the waiting requests was refused for want of space.
    pub(super) fn stretch_of(&self, step: &Step, now: Nanos, refused: bool) -> u32 {
        let only_decodes = step.work.decodes as usize == step.entries.len();
        let undisturbed = self.waiting.is_empty() || refused;
        let eligible = self.config.fast_forward
            && only_decodes
            && step.entries.len() == self.running.len()
            && undisturbed
            && self.fetching.is_empty()
            && !self.requests.any_adapter()
            && self.is_warm(now);
        if !eligible {
            return 1;
        }
        let all = || self.running.iter().filter_map(|id| self.requests.get(*id));
        let block_size = self.config.block_size;
        let caching = self.config.prefix_caching;
        let until_change = |request: &Request| {
            let left = request.output_tokens.saturating_sub(request.emitted);
            let next = request.committed as u32 + 1;
            if caching && request.hashes.len() >= next as usize {
                left.min((next * block_size).saturating_sub(request.computed))
            } else {
                left
            }
        };
        let most = all().map(until_change).min().unwrap_or(1);
        let most = most.clamp(1, STEPS_MAX);
        let free = self.pool.free();
        let fits = |steps: u32| {
            let needed = all().map(|request| request.missing_ahead(block_size, steps - 1));
            needed.sum::<u32>() <= free
        };
        if fits(most) {
            return most;
        }
        let (mut fit, mut too_many) = (1, most);
        while too_many - fit > 1 {
            let middle = fit + (too_many - fit) / 2;
            if fits(middle) {
                fit = middle;
            } else {
                too_many = middle;
            }
        }
        fit
    }

    /// When the stretch ends.
    pub(super) fn stretch_end(&self, step: &Step) -> Nanos {
        let mut at = step.start;
        for end in self.ends(step) {
            at = end;
        }
        at
    }

    /// Ends of the steps of a stretch.
    fn ends(&self, step: &Step) -> impl Iterator<Item = Nanos> + use<'_> {
        let run = DecodeRun::new(&self.config.perf, &step.work);
        let factor = self.factor(step.start);
        let batch = u64::from(step.work.decodes);
        let (mut at, mut context) = (step.start, step.work.decode_context);
        (0..step.steps).map(move |_| {
            at += super::schedule::nanos(run.step_ms(context), factor);
            context += batch;
            at
        })
    }

    /// Steps of the stretch that have ended by `now`, and when the last of them did.
    fn ended_by(&self, step: &Step, now: Nanos) -> (u32, Nanos) {
        let (mut count, mut at) = (0, step.start);
        for end in self.ends(step).take_while(|end| *end <= now) {
            (count, at) = (count + 1, end);
        }
        (count, at)
    }

    /// When the single step that is under way at `now` ends.
    pub(super) fn single_end(&self, step: &Step, now: Nanos) -> Nanos {
        if step.steps > 1 {
            let mut ends = self.ends(step);
            ends.find(|end| *end >= now).unwrap_or(step.end)
        } else {
            step.end
        }
    }

    /// Ends the stretch with the step that is under way at `now`, or ends then.
    pub(super) fn cut_stretch(&mut self, now: Nanos) {
        let Some(step) = self.step.as_ref().filter(|step| step.steps > 1) else {
            return;
        };
        let (mut steps, mut end) = (0, step.start);
        for at in self.ends(step) {
            (steps, end) = (steps + 1, at);
            if at >= now {
                break;
            }
        }
        if let Some(step) = &mut self.step {
            (step.steps, step.end) = (steps, end);
        }
    }

    /// Books the steps that have ended by `now` and leaves the one under way.
    pub(super) fn settle(&mut self, now: Nanos) {
        let Some(mut step) = self.step.take() else {
            return;
        };
        if step.steps > 1 {
            self.step = Some(step);
            self.cut_stretch(now);
            let Some(cut) = self.step.take() else { return };
            step = cut;
            let last = step.steps - 1;
            let (ended, at) = self.ended_by(&step, now);
            let ended = ended.min(last);
            if ended > 0 {
                self.gauges = self.gauges_of(&step, now);
                let mut events = std::mem::take(&mut self.pending);
                let part = Step {
                    steps: ended,
                    ..step.clone()
                };
                self.tell_tokens(&part, ended, &mut events);
                for (id, _) in &step.entries {
                    self.decode(*id, ended);
                    self.grow(*id, 0);
                }
                self.pending = events;
                self.counters.steps += u64::from(ended);
                step.start = at;
                step.work.decode_context += u64::from(ended) * u64::from(step.work.decodes);
            }
            step.steps = 1;
        }
        self.step = Some(step);
    }

    /// Books all steps of a stretch but the last, whose bookings are those of any step.
    pub(super) fn finish_ahead(&mut self, step: &Step, events: &mut Vec<Event>) {
        let ahead = step.steps - 1;
        self.tell_tokens(step, ahead, events);
        for (id, _) in &step.entries {
            self.decode(*id, ahead);
            self.grow(*id, 0);
        }
        self.counters.steps += u64::from(ahead);
    }

    /// Token events of the first `steps` steps.
    fn tell_tokens(&self, step: &Step, steps: u32, events: &mut Vec<Event>) {
        if self.config.token_events == TokenEvents::First {
            return;
        }
        for (ahead, at) in (0..steps).zip(self.ends(step)) {
            for (id, _) in &step.entries {
                if let Some(request) = self.requests.get(*id) {
                    let index = request.emitted + ahead;
                    events.push(Event::Token { id: *id, at, index });
                }
            }
        }
    }

    fn decode(&mut self, id: RequestId, steps: u32) {
        if let Some(request) = self.requests.get_mut(id) {
            request.computed += steps;
            request.emitted += steps;
            self.counters.generation_tokens += u64::from(steps);
        }
    }

    /// Gives a request the blocks of its sequence with so many further tokens.
    pub(super) fn grow(&mut self, id: RequestId, ahead: u32) {
        let block_size = self.config.block_size;
        if let Some(request) = self.requests.get_mut(id) {
            for _ in 0..request.missing_ahead(block_size, ahead) {
                request.blocks.extend(self.pool.allocate());
            }
        }
    }

    /// What a scrape at `now` sees. The same as [`gauges`](Self::gauges) but inside of a
    /// fast-forward stretch, where it is the state at the end of the last single step.
    pub fn gauges_at(&self, now: Nanos) -> Gauges {
        match self.step.as_ref().filter(|step| step.steps > 1) {
            Some(step) => self.gauges_of(step, now),
            None => self.gauges.clone(),
        }
    }

    fn gauges_of(&self, step: &Step, now: Nanos) -> Gauges {
        let mut gauges = self.gauges.clone();
        let (ended, at) = self.ended_by(step, now);
        if ended == 0 {
            return gauges;
        }
        let all = self.running.iter().filter_map(|id| self.requests.get(*id));
        let block_size = self.config.block_size;
        let grown: u32 = all
            .map(|request| request.missing_ahead(block_size, ended - 1))
            .sum();
        let used = self.pool.used() + grown;
        gauges.kv_usage = f64::from(used) / f64::from(self.pool.total().max(1));
        let late = self
            .waiting
            .iter()
            .rev()
            .filter_map(|id| self.requests.get(*id));
        let late = late.take_while(|request| request.arrived > at).count();
        gauges.waiting = (self.waiting.len() - late) as u32;
        gauges.running = self.running.len() as u32;
        gauges
    }
}
