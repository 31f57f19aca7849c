//! Which endpoint was sent which prompt blocks: the approximate prefix index.
//!
//! Prompts come as chained block hashes: the hash of a block stands for the whole prompt up to it.
//! Prompts that share a beginning share a path in a tree whose nodes are runs of blocks, so a
//! prompt of 6,000 blocks is a handful of nodes, a run is compared by its last hash alone, and a
//! point of divergence is found by bisection. Each node lists the endpoints that hold a leading
//! part of its run.
//!
//! Memory is 8 bytes per block of a run, however many endpoints hold it, plus 24 bytes per (run,
//! endpoint) and about 120 per run.

mod evict;
mod hashing;
mod lru;
mod positions;
mod tree;
mod trust;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use signals::Endpoint;
use tree::Tree;
use trust::{Lesson, Trust};

use hashing::Keyed;
pub use positions::Positions;
pub use trust::HitReport;

/// Independent trees; a prompt's first block decides which. Prompts of different models or
/// tenants never share a first block, so they spread.
const SHARDS: usize = 16;

/// KV capacity assumed of an endpoint that does not tell: about that of a 32B model on two H100.
const CAPACITY_TOKENS_UNKNOWN: u64 = 400_000;

/// How much of the index is one endpoint's.
#[derive(Debug)]
struct Usage {
    blocks: AtomicU64,
    capacity: AtomicU32,
    trust: Trust,
    /// Per shard, when the endpoint's least recently used run there was last used.
    oldest: [AtomicU64; SHARDS],
    evicting: Mutex<()>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            blocks: AtomicU64::new(0),
            capacity: AtomicU32::new(0),
            trust: Trust::default(),
            oldest: [const { AtomicU64::new(u64::MAX) }; SHARDS],
            evicting: Mutex::new(()),
        }
    }
}

/// Block hash → endpoints, learned from our own routing.
///
/// Bounded: an endpoint never holds more blocks than its capacity once a call returns; what it
/// used longest ago goes first, the deepest blocks of a prompt before those they depend on, as
/// engines do. Readers of different prompts share a lock for reading, and writers hold it for
/// microseconds.
#[derive(Debug)]
pub struct PrefixIndex {
    shards: [RwLock<Tree>; SHARDS],
    usage: RwLock<HashMap<u32, Arc<Usage>>>,
    keyed: Keyed,
    clock: AtomicU64,
}

impl Default for PrefixIndex {
    fn default() -> Self {
        Self::new(0)
    }
}

impl PrefixIndex {
    /// An empty index. `seed` keys its hash tables, so that prompts cannot be crafted to collide
    /// in them; draw it at random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let keyed = Keyed::new(seed);
        Self {
            shards: std::array::from_fn(|_| RwLock::new(Tree::new(keyed))),
            usage: RwLock::default(),
            keyed,
            clock: AtomicU64::new(0),
        }
    }

    /// How many blocks of prompt an endpoint can hold, from the KV capacity it reports.
    #[must_use]
    pub fn capacity_blocks(endpoint: &Endpoint, block_tokens: u32) -> u32 {
        let tokens = match endpoint.signals().kv_capacity_tokens() {
            0 => CAPACITY_TOKENS_UNKNOWN,
            known => known,
        };
        u32::try_from(tokens / u64::from(block_tokens.max(1))).unwrap_or(u32::MAX)
    }

    /// For each endpoint of `positions`, raises its place in `out` to the number of leading
    /// `blocks` it holds. `out` must be at least as long as the list the positions were made of,
    /// and zero where nothing is known yet.
    pub fn longest_match(&self, blocks: &[u64], positions: &Positions, out: &mut [u32]) {
        let Some(&first) = blocks.first() else { return };
        self.read(self.shard_of(first))
            .longest_match(blocks, positions, out);
    }

    /// The endpoint was sent a prompt of `blocks`: it now holds them (the first `capacity_blocks`
    /// of them when there are more), and gives up what it used longest ago to make room.
    ///
    /// Leave out a last block that is not full (see [`crate::Query::full_blocks`]): engines do not
    /// cache it, and the next turn of the conversation has another block in its place.
    pub fn store(&self, endpoint: u32, capacity_blocks: u32, blocks: &[u64]) {
        let usage = self.usage_of(endpoint);
        usage.capacity.store(capacity_blocks, Relaxed);
        let capacity = usage.trust.scale(capacity_blocks);
        let blocks = &blocks[..blocks.len().min(capacity as usize)];
        let Some(&first) = blocks.first() else { return };
        let shard = self.shard_of(first);
        let now = self.clock.fetch_add(1, Relaxed);
        {
            let mut tree = self.write(shard);
            let added = tree.insert(endpoint, blocks, now);
            usage.oldest[shard].store(tree.oldest(endpoint), Relaxed);
            usage.blocks.fetch_add(added, Relaxed);
        }
        self.make_room(endpoint, &usage, u64::from(capacity));
    }

    /// The endpoint does not hold more than the first `keep_blocks` of a prompt: takes back a
    /// [`PrefixIndex::store`] when the request never reached the endpoint, with what it was
    /// believed to hold before.
    pub fn forget_after(&self, endpoint: u32, blocks: &[u64], keep_blocks: u32) {
        let Some(&first) = blocks.first() else { return };
        let usage = self.usage_of(endpoint);
        let shard = self.shard_of(first);
        let mut tree = self.write(shard);
        let removed = tree.truncate(endpoint, blocks, keep_blocks as usize);
        usage.oldest[shard].store(tree.oldest(endpoint), Relaxed);
        usage.blocks.fetch_sub(removed, Relaxed);
    }

    /// Learns from an answer how much of the prompt the endpoint really had when the request
    /// reached it. The prompt itself it holds by now in any case; what is learned is how far to
    /// trust the picture of everything else, see [`HitReport`].
    pub fn learn(&self, endpoint: u32, report: &HitReport) {
        if self.usage_of(endpoint).trust.learn(report) == Lesson::CacheLost {
            self.remove_endpoint(endpoint);
        }
    }

    /// The endpoint really had the first `actual_blocks` of a prompt, or more. Never forgets
    /// anything: a server reports what it had before it computed the rest, and now it has it all.
    /// What a wrong guess tells is for [`PrefixIndex::learn`].
    pub fn correct(&self, endpoint: u32, blocks: &[u64], actual_blocks: u32) {
        let actual = &blocks[..blocks.len().min(actual_blocks as usize)];
        let Some(&first) = actual.first() else { return };
        if self.read(self.shard_of(first)).held(endpoint, actual) < actual.len() {
            self.store(
                endpoint,
                self.usage_of(endpoint).capacity.load(Relaxed),
                actual,
            );
        }
    }

    /// Forgets an endpoint.
    pub fn remove_endpoint(&self, endpoint: u32) {
        let usage = self
            .usage
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&endpoint);
        if usage.is_some() {
            for shard in 0..SHARDS {
                self.write(shard).evict(endpoint, u64::MAX, u64::MAX);
            }
        }
    }

    /// Forgets all endpoints but those `keep` names. Call it now and then: a request that was
    /// under way when its endpoint was removed may have stored blocks for it afterwards.
    pub fn retain_endpoints(&self, keep: impl Fn(u32) -> bool) {
        let usage = self.usage.read().unwrap_or_else(PoisonError::into_inner);
        let mut known: HashSet<u32> = usage.keys().copied().collect();
        drop(usage);
        for shard in 0..SHARDS {
            known.extend(self.read(shard).endpoints());
        }
        for endpoint in known.into_iter().filter(|&endpoint| !keep(endpoint)) {
            self.remove_endpoint(endpoint);
        }
    }

    /// Blocks that the endpoint is believed to hold.
    #[must_use]
    pub fn held_blocks(&self, endpoint: u32) -> u64 {
        let known = self.usage.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&endpoint)
            .map_or(0, |usage| usage.blocks.load(Relaxed))
    }

    /// Number of (block, endpoint) pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        (0..SHARDS).map(|shard| self.read(shard).pairs()).sum()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory it takes, in bytes, estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (0..SHARDS).map(|shard| self.read(shard).bytes()).sum()
    }

    /// Evicts until the endpoint is within its capacity. Recency is compared over all shards;
    /// never are two of them locked at once.
    fn make_room(&self, endpoint: u32, usage: &Usage, capacity: u64) {
        if usage.blocks.load(Relaxed) <= capacity {
            return;
        }
        let _one_at_a_time = usage
            .evicting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let excess = usage.blocks.load(Relaxed).saturating_sub(capacity);
            let (shard, oldest, next) = oldest_two(&usage.oldest);
            if excess == 0 || oldest == u64::MAX {
                return;
            }
            let mut tree = self.write(shard);
            let evicted = tree.evict(endpoint, excess, next);
            usage.oldest[shard].store(tree.oldest(endpoint), Relaxed);
            usage.blocks.fetch_sub(evicted, Relaxed);
        }
    }

    fn usage_of(&self, endpoint: u32) -> Arc<Usage> {
        let known = self.usage.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = known.get(&endpoint) {
            return Arc::clone(usage);
        }
        drop(known);
        let mut all = self.usage.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(endpoint).or_default())
    }

    fn shard_of(&self, first: u64) -> usize {
        // The tables use the same mix's other bits.
        (self.keyed.mix(first) >> 24) as usize % SHARDS
    }

    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Tree> {
        self.shards[shard]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Tree> {
        self.shards[shard]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard with the least stamp, that stamp, and the least stamp of the others.
fn oldest_two(stamps: &[AtomicU64; SHARDS]) -> (usize, u64, u64) {
    let (mut shard, mut oldest, mut next) = (0, u64::MAX, u64::MAX);
    for (at, stamp) in stamps.iter().enumerate() {
        let stamp = stamp.load(Relaxed);
        if stamp < oldest {
            (shard, oldest, next) = (at, stamp, oldest);
        } else {
            next = next.min(stamp);
        }
    }
    (shard, oldest, next)
}

#[cfg(test)]
mod tests;
