//! The fleet as routers learn of it: who is a member, scrapes, KV events, faults.

use signals::ScrapeMark;
use simulator::Fault;

use super::event::What;
use super::{Parcel, World};
use crate::routing::timeline::Action;
use crate::routing::workload::nanos;

impl World<'_> {
    /// A server becomes a member, and each router starts to scrape it.
    pub(super) fn join(&mut self, node: usize) {
        let config = self.nodes[node].engine().config();
        let (block_tokens, blocks) = (config.block_size, config.kv_blocks);
        self.members[node] = true;
        for router in 0..self.routers.len() {
            self.routers[router].join(node, block_tokens, blocks, self.now);
            let phase = nanos(self.scene.conditions.scrape_secs * self.draw());
            self.push(self.now + phase, What::Scrape(router as u16, node as u32));
        }
    }

    /// The next entry of the timeline.
    pub(super) fn timeline(&mut self, place: usize) {
        let action = self.scene.timeline[place].action;
        match action {
            Action::Add {
                count,
                startup_secs,
            } => {
                let at = self.now + nanos(startup_secs);
                let absent = (0..self.nodes.len()).filter(|node| !self.members[*node]);
                let joining: Vec<usize> = absent.take(count).collect();
                for node in joining {
                    // Taken, so that a second addition does not choose it again.
                    self.members[node] = true;
                    self.push(at, What::Join(node));
                }
            }
            Action::Remove { count } => {
                let present = (0..self.nodes.len())
                    .rev()
                    .filter(|node| self.members[*node]);
                let leaving: Vec<usize> = present.take(count).collect();
                for node in leaving {
                    self.members[node] = false;
                    for router in &mut self.routers {
                        router.leave(node);
                    }
                }
            }
            Action::Fault { node, fault } => {
                let mut events = std::mem::take(&mut self.events);
                self.nodes[node].inject(self.now, fault, &mut events);
                self.renew_due(node);
                self.tell(node, &mut events);
                self.events = events;
                if matches!(fault, Fault::Crash { .. }) && self.follows_events {
                    // A new publisher starts its sequence anew, by which subscribers know.
                    for router in 0..self.routers.len() {
                        let cleared = vec![simulator::CacheChange::Cleared];
                        self.send(router, node, Parcel::Changes(cleared), 0);
                    }
                }
            }
        }
    }

    /// A router asks for metrics. The way there takes as long as the way back.
    pub(super) fn scrape(&mut self, router: u16, node: u32) {
        if !self.members[node as usize] || self.open == 0 {
            return;
        }
        let period = nanos(self.scene.conditions.scrape_secs).max(1);
        self.push(self.now + period, What::Scrape(router, node));
        let loss = self.scene.conditions.scrape_loss;
        if loss > 0.0 && self.draw() < loss {
            return;
        }
        if let Some(mark) = self.routers[router as usize].mark(node as usize) {
            self.push(self.now + self.net, What::Sample(router, node, mark));
        }
    }

    pub(super) fn sample(&mut self, router: u16, node: u32, mark: ScrapeMark) {
        if let Some(gauges) = self.nodes[node as usize].scrape(self.now) {
            let parcel = Parcel::Gauges(gauges, mark);
            self.send(router as usize, node as usize, parcel, 0);
        }
    }

    /// Sends the cache changes of a server to the routers that follow them.
    pub(super) fn send_changes(&mut self, node: usize) {
        let mut changes = std::mem::take(&mut self.changes);
        self.nodes[node].take_cache_changes(self.now, &mut changes);
        let loss = self.scene.conditions.event_loss;
        if loss > 0.0 {
            changes.retain(|_| self.draw() >= loss);
        }
        if !changes.is_empty() {
            let lag = nanos(self.scene.conditions.event_lag_secs);
            for router in 0..self.routers.len() {
                if self.routers[router].wants_events() {
                    self.send(router, node, Parcel::Changes(changes.clone()), lag);
                }
            }
        }
        changes.clear();
        self.changes = changes;
    }

    fn send(&mut self, router: usize, node: usize, parcel: Parcel, lag: u64) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.parcels.push(None);
            self.parcels.len() as u32 - 1
        });
        self.parcels[place as usize] = Some(parcel);
        let at = self.now + self.net + lag;
        self.push(at, What::Parcel(router as u16, node as u32, place));
    }

    pub(super) fn deliver(&mut self, router: u16, node: u32, place: u32) {
        let parcel = self.parcels[place as usize].take();
        self.vacant.push(place);
        let (router, node) = (&mut self.routers[router as usize], node as usize);
        match parcel {
            Some(Parcel::Gauges(gauges, mark)) => {
                let max_loras = self.nodes[node].engine().config().max_loras;
                router.scraped(node, &gauges, self.adapters, max_loras, mark, self.now);
            }
            Some(Parcel::Changes(changes)) => router.cache_changed(node, &changes),
            None => {}
        }
    }
}
