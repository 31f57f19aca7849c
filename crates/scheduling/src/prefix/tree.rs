//! One shard of the index: a tree of runs of blocks.
//!
//! Invariants, held between calls (checked by the tests after every step):
//! - A node's run is never empty, and is as long as its longest holding.
//! - An endpoint with a holding in a node covers the whole run of the node's parent.
//! - A node without holdings does not exist.
//! - The recency list of an endpoint goes through all its holdings, and a node comes before (is
//!   newer than) the nodes under it; so the oldest holding always is a leaf of the endpoint's.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::Positions;
use super::hashing::Keyed;
use super::lru::Ends;

/// No node.
pub(super) const NIL: u32 = u32::MAX;

/// An endpoint's part in a node, and its place in the endpoint's recency list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub(super) endpoint: u32,
    /// Leading blocks of the run that the endpoint holds; at least 1.
    pub(super) covered: u32,
    /// Neighbours in the recency list, as nodes.
    pub(super) newer: u32,
    pub(super) older: u32,
    pub(super) used_at: u64,
}

/// A run of blocks without a branch.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) run: Vec<u64>,
    /// Ordered by endpoint.
    pub(super) holdings: SmallVec<[Holding; 1]>,
    pub(super) parent: u32,
    pub(super) child: u32,
    /// Siblings. Roots have none: they are found by their first block.
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Node {
    pub(super) fn place_of(&self, endpoint: u32) -> Result<usize, usize> {
        self.holdings
            .binary_search_by_key(&endpoint, |holding| holding.endpoint)
    }

    pub(super) fn covered_by(&self, endpoint: u32) -> u32 {
        self.place_of(endpoint)
            .map_or(0, |place| self.holdings[place].covered)
    }
}

/// A node on the way of a prompt: its run matches from `start` on for `matched` blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) node: u32,
    pub(super) start: usize,
    pub(super) matched: usize,
}

pub(super) type Path = SmallVec<[Step; 32]>;

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    free: Vec<u32>,
    /// First block of a run → its node. A block hash stands for all before it, so it alone says
    /// where in the tree it belongs.
    by_first: HashMap<u64, u32, Keyed>,
    pub(super) ends: HashMap<u32, Ends, Keyed>,
    /// Blocks in runs, holdings, and (block, endpoint) pairs, for the gauges.
    pub(super) blocks: usize,
    pub(super) holdings: usize,
    pub(super) pairs: usize,
}

impl Tree {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            by_first: HashMap::with_hasher(keyed),
            ends: HashMap::with_hasher(keyed),
            blocks: 0,
            holdings: 0,
            pairs: 0,
        }
    }

    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    pub(super) fn bytes(&self) -> usize {
        let nodes = self.nodes.capacity() * size_of::<Node>() + self.free.capacity() * 4;
        let table = self.by_first.capacity() * (size_of::<(u64, u32)>() + 1);
        // The first holding of each node is inside it.
        let spilled = self
            .holdings
            .saturating_sub(self.nodes.len() - self.free.len());
        nodes + table + self.blocks * 8 + spilled * size_of::<Holding>()
    }

    pub(super) fn longest_match(&self, blocks: &[u64], positions: &Positions, out: &mut [u32]) {
        let mut below = 0;
        // From the deepest node up. Holders of a node hold all above it, so a node with as many
        // holders as the one below it has no others.
        for step in self.walk(blocks).iter().rev() {
            let node = &self.nodes[step.node as usize];
            if node.holdings.len() == below {
                continue;
            }
            below = node.holdings.len();
            for holding in &node.holdings {
                if let Some(place) = positions
                    .of(holding.endpoint)
                    .and_then(|at| out.get_mut(at))
                {
                    let covered = (holding.covered as usize).min(step.matched);
                    *place = (*place).max((step.start + covered) as u32);
                }
            }
        }
    }

    /// How many leading blocks one endpoint holds.
    pub(super) fn held(&self, endpoint: u32, blocks: &[u64]) -> usize {
        let path = self.walk(blocks);
        let deepest = path.iter().rev().find_map(|step| {
            let covered = self.nodes[step.node as usize].covered_by(endpoint) as usize;
            (covered > 0).then(|| step.start + covered.min(step.matched))
        });
        deepest.unwrap_or(0)
    }

    /// The nodes a prompt goes through, from the root.
    pub(super) fn walk(&self, blocks: &[u64]) -> Path {
        let mut path = Path::new();
        let (mut start, mut parent) = (0, NIL);
        while let Some(first) = blocks.get(start) {
            let Some(&node) = self.by_first.get(first) else {
                break;
            };
            let Node {
                run, parent: above, ..
            } = &self.nodes[node as usize];
            if *above != parent {
                break;
            }
            let matched = common_prefix(run, &blocks[start..]);
            path.push(Step {
                node,
                start,
                matched,
            });
            if matched < run.len() {
                break;
            }
            start += matched;
            parent = node;
        }
        path
    }

    /// Makes `endpoint` hold all `blocks` and marks them used at `now`. Returns how many blocks
    /// that adds to its holdings.
    pub(super) fn insert(&mut self, endpoint: u32, blocks: &[u64], now: u64) -> u64 {
        let mut path = self.walk(blocks);
        let known = path.last().map_or(0, |step| step.start + step.matched);
        if known < blocks.len() {
            self.grow(&mut path, &blocks[known..]);
        } else if let Some(last) = path.last_mut() {
            let covered = self.nodes[last.node as usize].covered_by(endpoint);
            if covered as usize > last.matched {
                // Only the part that was asked for becomes recent.
                last.node = self.split(last.node, last.matched);
            }
        }
        let before = self.pairs;
        // Deepest first, so that the root ends up as the newest.
        for step in path.iter().rev() {
            self.hold(step.node, endpoint, step.matched as u32, now);
        }
        (self.pairs - before) as u64
    }

    /// Adds `rest` after the end of `path`, as part of a run or as a new node.
    fn grow(&mut self, path: &mut Path, rest: &[u64]) {
        if self.by_first.contains_key(&rest[0]) {
            // Two prompts with one hash: cannot be placed twice, and is not worth more thought.
            return;
        }
        let parent = match path.last_mut() {
            None => NIL,
            Some(last) => {
                let node = &mut self.nodes[last.node as usize];
                if last.matched < node.run.len() {
                    last.node = self.split(last.node, last.matched);
                } else if node.child == NIL {
                    node.run.reserve_exact(rest.len());
                    node.run.extend_from_slice(rest);
                    self.blocks += rest.len();
                    last.matched += rest.len();
                    return;
                }
                last.node
            }
        };
        let start = path.last().map_or(0, |last| last.start + last.matched);
        let node = self.add_node(rest.to_vec(), parent);
        self.blocks += rest.len();
        path.push(Step {
            node,
            start,
            matched: rest.len(),
        });
    }

    /// Cuts a run in two at `at`; the node keeps the later part, with everything under it.
    /// Returns the new node of the earlier part.
    fn split(&mut self, node: u32, at: usize) -> u32 {
        let lower = &mut self.nodes[node as usize];
        let tail = lower.run.split_off(at);
        let mut head = std::mem::replace(&mut lower.run, tail);
        head.shrink_to_fit();
        let (first_below, parent) = (lower.run[0], lower.parent);
        self.detach(node);
        let front = self.add_node(head, parent);
        self.by_first.insert(first_below, node);
        self.attach(node, front);
        self.split_holdings(front, node, at as u32);
        front
    }

    pub(super) fn add_node(&mut self, run: Vec<u64>, parent: u32) -> u32 {
        let first = run[0];
        let node = Node {
            run,
            parent,
            child: NIL,
            previous: NIL,
            next: NIL,
            ..Node::default()
        };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        };
        self.by_first.insert(first, at);
        self.attach(at, parent);
        at
    }

    /// Removes a node that nobody holds any more.
    pub(super) fn remove_node(&mut self, node: u32) {
        self.detach(node);
        let gone = std::mem::take(&mut self.nodes[node as usize]);
        self.blocks -= gone.run.len();
        self.by_first.remove(&gone.run[0]);
        self.free.push(node);
    }

    fn attach(&mut self, node: u32, parent: u32) {
        self.nodes[node as usize].parent = parent;
        if parent == NIL {
            return;
        }
        let sibling = std::mem::replace(&mut self.nodes[parent as usize].child, node);
        self.nodes[node as usize].next = sibling;
        if sibling != NIL {
            self.nodes[sibling as usize].previous = node;
        }
    }

    fn detach(&mut self, node: u32) {
        let Node {
            parent,
            previous,
            next,
            ..
        } = self.nodes[node as usize];
        if previous != NIL {
            self.nodes[previous as usize].next = next;
        } else if parent != NIL {
            self.nodes[parent as usize].child = next;
        }
        if next != NIL {
            self.nodes[next as usize].previous = previous;
        }
        let node = &mut self.nodes[node as usize];
        (node.parent, node.previous, node.next) = (NIL, NIL, NIL);
    }
}

/// Length of the common beginning of two chains. Equal hashes at one place say that everything
/// before is equal too, so the last place settles most cases and bisection the others.
fn common_prefix(run: &[u64], blocks: &[u64]) -> usize {
    let limit = run.len().min(blocks.len());
    if limit == 0 || run[limit - 1] == blocks[limit - 1] {
        return limit;
    }
    let (mut equal, mut different) = (0, limit - 1);
    while equal < different {
        let middle = equal + (different - equal) / 2;
        if run[middle] == blocks[middle] {
            equal = middle + 1;
        } else {
            different = middle;
        }
    }
    equal
}
