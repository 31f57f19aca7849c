//! Recency: per endpoint, a list through all its holdings of a shard.

use super::tree::{Holding, NIL, Tree};

/// The ends of an endpoint's list, as nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) newest: u32,
    pub(super) oldest: u32,
}

impl Tree {
    /// All endpoints that hold anything.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = u32> {
        self.ends.keys().copied()
    }

    /// When the endpoint's least recently used holding was used; `u64::MAX` when it has none.
    pub(super) fn oldest(&self, endpoint: u32) -> u64 {
        let Some(ends) = self.ends.get(&endpoint) else {
            return u64::MAX;
        };
        let node = &self.nodes[ends.oldest as usize];
        node.place_of(endpoint)
            .map_or(u64::MAX, |place| node.holdings[place].used_at)
    }

    /// Makes `endpoint` cover at least `covered` blocks of `node`, as its newest holding.
    pub(super) fn hold(&mut self, node: u32, endpoint: u32, covered: u32, now: u64) {
        let place = match self.nodes[node as usize].place_of(endpoint) {
            Ok(place) => {
                self.unlink(node, endpoint);
                place
            }
            Err(place) => {
                let new = Holding {
                    endpoint,
                    covered: 0,
                    newer: NIL,
                    older: NIL,
                    used_at: now,
                };
                self.nodes[node as usize].holdings.insert(place, new);
                self.holdings += 1;
                place
            }
        };
        let holding = &mut self.nodes[node as usize].holdings[place];
        self.pairs += covered.saturating_sub(holding.covered) as usize;
        holding.covered = holding.covered.max(covered);
        holding.used_at = now;
        self.link_newest(node, endpoint);
    }

    /// Takes a holding out of its node and its list; the node stays, even if nobody holds it.
    pub(super) fn drop_holding(&mut self, node: u32, endpoint: u32) {
        self.unlink(node, endpoint);
        let holdings = &mut self.nodes[node as usize].holdings;
        if let Ok(place) = holdings.binary_search_by_key(&endpoint, |holding| holding.endpoint) {
            holdings.remove(place);
            self.holdings -= 1;
        }
    }

    /// Deals the holdings of a node whose run was cut at `at` to its `front` and `back` parts:
    /// who reaches beyond the cut has a part in both, the one in front just newer than the other.
    pub(super) fn split_holdings(&mut self, front: u32, back: u32, at: u32) {
        let all = std::mem::take(&mut self.nodes[back as usize].holdings);
        for holding in all {
            let endpoint = holding.endpoint;
            let beyond = holding.covered > at;
            let head = Holding {
                covered: holding.covered.min(at),
                older: if beyond { back } else { holding.older },
                ..holding
            };
            self.nodes[front as usize].holdings.push(head);
            if beyond {
                let tail = Holding {
                    covered: holding.covered - at,
                    newer: front,
                    ..holding
                };
                self.nodes[back as usize].holdings.push(tail);
                self.holdings += 1;
            } else {
                self.set_newer(holding.older, endpoint, front);
            }
            self.set_older(holding.newer, endpoint, front);
        }
    }

    fn link_newest(&mut self, node: u32, endpoint: u32) {
        let ends = self.ends.entry(endpoint).or_insert(Ends {
            newest: NIL,
            oldest: node,
        });
        let second = std::mem::replace(&mut ends.newest, node);
        self.edit(node, endpoint, |holding| {
            (holding.newer, holding.older) = (NIL, second)
        });
        if second != NIL {
            self.edit(second, endpoint, |holding| holding.newer = node);
        }
    }

    fn unlink(&mut self, node: u32, endpoint: u32) {
        let Ok(place) = self.nodes[node as usize].place_of(endpoint) else {
            return;
        };
        let Holding { newer, older, .. } = self.nodes[node as usize].holdings[place];
        if newer == NIL && older == NIL {
            self.ends.remove(&endpoint);
            return;
        }
        self.set_older(newer, endpoint, older);
        self.set_newer(older, endpoint, newer);
    }

    /// Makes `older` the next older of `node`, or the newest of all when `node` is none.
    fn set_older(&mut self, node: u32, endpoint: u32, older: u32) {
        if node != NIL {
            self.edit(node, endpoint, |holding| holding.older = older);
        } else if let Some(ends) = self.ends.get_mut(&endpoint) {
            ends.newest = older;
        }
    }

    /// Makes `newer` the next newer of `node`, or the oldest of all when `node` is none.
    fn set_newer(&mut self, node: u32, endpoint: u32, newer: u32) {
        if node != NIL {
            self.edit(node, endpoint, |holding| holding.newer = newer);
        } else if let Some(ends) = self.ends.get_mut(&endpoint) {
            ends.oldest = newer;
        }
    }

    fn edit(&mut self, node: u32, endpoint: u32, change: impl FnOnce(&mut Holding)) {
        let node = &mut self.nodes[node as usize];
        if let Ok(place) = node.place_of(endpoint) {
            change(&mut node.holdings[place]);
        }
    }
}
