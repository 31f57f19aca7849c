//! Giving blocks up: by age, or because the endpoint does not have them after all.

use super::tree::{NIL, Tree};

impl Tree {
    /// Takes up to `count` blocks from `endpoint`, least recently used first and the deepest of a
    /// prompt first, but none that was used after `until`. Returns how many.
    pub(super) fn evict(&mut self, endpoint: u32, count: u64, until: u64) -> u64 {
        let mut evicted = 0;
        while evicted < count {
            let Some(oldest) = self.ends.get(&endpoint).map(|ends| ends.oldest) else {
                break;
            };
            if self.oldest(endpoint) > until {
                break;
            }
            let covered = self.nodes[oldest as usize].covered_by(endpoint);
            let take = u64::from(covered).min(count - evicted);
            self.shrink(oldest, endpoint, covered - take as u32);
            evicted += take;
        }
        evicted
    }

    /// Leaves `endpoint` no more than the first `keep` blocks of a prompt, and nothing that goes
    /// on from the others. Returns how many blocks that took.
    pub(super) fn truncate(&mut self, endpoint: u32, blocks: &[u64], keep: usize) -> u64 {
        let before = self.pairs;
        let cut = self
            .walk(blocks)
            .into_iter()
            .find(|step| step.start + step.matched > keep);
        if let Some(step) = cut {
            let left = keep.saturating_sub(step.start) as u32;
            if self.nodes[step.node as usize].covered_by(endpoint) > left {
                // Deeper nodes first, so that no node is removed before those under it.
                for node in self.held_under(step.node, endpoint).into_iter().rev() {
                    self.shrink(node, endpoint, 0);
                }
                self.shrink(step.node, endpoint, left);
            }
        }
        (before - self.pairs) as u64
    }

    /// Nodes under `top` in which `endpoint` has a part, each before those under it.
    fn held_under(&self, top: u32, endpoint: u32) -> Vec<u32> {
        let mut found = vec![top];
        let mut next = 0;
        while let Some(&node) = found.get(next) {
            next += 1;
            let mut child = self.nodes[node as usize].child;
            while child != NIL {
                let node = &self.nodes[child as usize];
                if node.place_of(endpoint).is_ok() {
                    found.push(child);
                }
                child = node.next;
            }
        }
        found.remove(0);
        found
    }

    /// Leaves `endpoint` the first `left` blocks of a node's run, and the node only what somebody
    /// holds.
    fn shrink(&mut self, node: u32, endpoint: u32, left: u32) {
        let Ok(place) = self.nodes[node as usize].place_of(endpoint) else {
            return;
        };
        let holding = &mut self.nodes[node as usize].holdings[place];
        let covered = std::mem::replace(&mut holding.covered, left);
        self.pairs -= (covered - left) as usize;
        if left == 0 {
            self.drop_holding(node, endpoint);
        }
        let this = &mut self.nodes[node as usize];
        if (covered as usize) < this.run.len() {
            return;
        }
        let longest = this.holdings.iter().map(|holding| holding.covered).max();
        match longest {
            None => self.remove_node(node),
            Some(longest) => {
                self.blocks -= this.run.len() - longest as usize;
                this.run.truncate(longest as usize);
                this.run.shrink_to_fit();
            }
        }
    }
}
