//! The paged KV cache: reference-counted blocks, found by hash, evicted least recently freed
//! first.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::CacheChange;

/// Place of a block in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockId(u32);

/// End of the free list.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Block {
    hash: Option<u64>,
    refs: u32,
    /// Neighbours in the free list; meaningful while `refs` is 0.
    previous: u32,
    next: u32,
}

/// All blocks of one engine. A block with references is in use; one without is in the free list,
/// where it keeps its hash, and can be found, until it is allocated again.
#[derive(Debug)]
pub(super) struct BlockPool {
    blocks: Vec<Block>,
    by_hash: HashMap<u64, BlockId, BuildHasherDefault<Spread>>,
    /// Next to be evicted.
    head: u32,
    tail: u32,
    free: u32,
    /// What happened to the cache, if anyone wants to know.
    changes: Option<Vec<CacheChange>>,
}

impl BlockPool {
    pub(super) fn new(count: u32, log_changes: bool) -> Self {
        let block = |at: u32| Block {
            hash: None,
            refs: 0,
            previous: at.checked_sub(1).unwrap_or(NONE),
            next: if at + 1 < count { at + 1 } else { NONE },
        };
        Self {
            blocks: (0..count).map(block).collect(),
            by_hash: HashMap::default(),
            head: if count == 0 { NONE } else { 0 },
            tail: count.checked_sub(1).unwrap_or(NONE),
            free: count,
            changes: log_changes.then(Vec::new),
        }
    }

    /// Moves the log to `changes`.
    pub(super) fn take_changes(&mut self, changes: &mut Vec<CacheChange>) {
        if let Some(log) = &mut self.changes {
            changes.append(log);
        }
    }

    /// Adds to the log.
    pub(super) fn note(&mut self, change: CacheChange) {
        if let Some(log) = &mut self.changes {
            log.push(change);
        }
    }

    /// Forgets every hash. Blocks in use stay in use, and nobody finds them any more.
    pub(super) fn forget_all(&mut self) {
        self.by_hash.clear();
        for block in &mut self.blocks {
            block.hash = None;
        }
        self.note(CacheChange::Cleared);
    }

    /// Blocks that can be allocated, cached ones included.
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    pub(super) fn used(&self) -> u32 {
        self.total() - self.free
    }

    pub(super) fn total(&self) -> u32 {
        self.blocks.len() as u32
    }

    /// Blocks that have a hash.
    pub(super) fn cached(&self) -> usize {
        self.by_hash.len()
    }

    /// How many leading hashes are cached.
    pub(super) fn matching(&self, hashes: &[u64]) -> usize {
        hashes
            .iter()
            .take_while(|hash| self.by_hash.contains_key(hash))
            .count()
    }

    /// How many of the cached blocks of `hashes` are free, so that sharing them takes from
    /// [`free`](Self::free).
    pub(super) fn free_among(&self, hashes: &[u64]) -> u32 {
        let found = hashes.iter().filter_map(|hash| self.by_hash.get(hash));
        found
            .filter(|id| self.at(**id).is_some_and(|block| block.refs == 0))
            .count() as u32
    }

    /// Takes a reference to the cached block, if it is still there.
    pub(super) fn share(&mut self, hash: u64) -> Option<BlockId> {
        let id = *self.by_hash.get(&hash)?;
        if self.at(id)?.refs == 0 {
            self.unlink(id);
        }
        self.at_mut(id)?.refs += 1;
        Some(id)
    }

    /// Takes the block that has been free longest, evicting what it held.
    pub(super) fn allocate(&mut self) -> Option<BlockId> {
        let id = BlockId(self.head);
        self.at(id)?;
        self.unlink(id);
        let block = self.at_mut(id)?;
        block.refs = 1;
        if let Some(hash) = block.hash.take() {
            self.by_hash.remove(&hash);
            self.note(CacheChange::Removed { hash });
        }
        Some(id)
    }

    /// Makes a computed block findable; returns whether it was not before. A hash that another
    /// block has already stays with that one.
    pub(super) fn commit(&mut self, id: BlockId, hash: u64) -> bool {
        if self.by_hash.contains_key(&hash) {
            return false;
        }
        let Some(block) = self.at_mut(id) else {
            return false;
        };
        let before = block.hash.replace(hash);
        self.by_hash.insert(hash, id);
        if let Some(before) = before {
            self.by_hash.remove(&before);
            self.note(CacheChange::Removed { hash: before });
        }
        true
    }

    /// Gives back a reference. A cached block goes to the end of the eviction order, one that
    /// nobody can find to its front.
    pub(super) fn release(&mut self, id: BlockId) {
        let Some(block) = self.at_mut(id) else { return };
        debug_assert!(
            block.refs > 0,
            "a block is released once for each reference"
        );
        block.refs = block.refs.saturating_sub(1);
        if block.refs > 0 {
            return;
        }
        if block.hash.is_some() {
            self.link_tail(id);
        } else {
            self.link_head(id);
        }
    }

    fn at(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(id.0 as usize)
    }

    fn at_mut(&mut self, id: BlockId) -> Option<&mut Block> {
        self.blocks.get_mut(id.0 as usize)
    }

    fn link_tail(&mut self, id: BlockId) {
        let tail = self.tail;
        if let Some(block) = self.at_mut(id) {
            (block.previous, block.next) = (tail, NONE);
        }
        match self.at_mut(BlockId(tail)) {
            Some(last) => last.next = id.0,
            None => self.head = id.0,
        }
        self.tail = id.0;
        self.free += 1;
    }

    fn link_head(&mut self, id: BlockId) {
        let head = self.head;
        if let Some(block) = self.at_mut(id) {
            (block.previous, block.next) = (NONE, head);
        }
        match self.at_mut(BlockId(head)) {
            Some(first) => first.previous = id.0,
            None => self.tail = id.0,
        }
        self.head = id.0;
        self.free += 1;
    }

    fn unlink(&mut self, id: BlockId) {
        let Some(&Block { previous, next, .. }) = self.at(id) else {
            return;
        };
        match self.at_mut(BlockId(previous)) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        match self.at_mut(BlockId(next)) {
            Some(after) => after.previous = previous,
            None => self.tail = previous,
        }
        self.free -= 1;
    }

    /// Walks the free list and compares it with the counts; for tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let (mut at, mut seen, mut before) = (self.head, 0, NONE);
        while let Some(block) = self.blocks.get(at as usize) {
            assert_eq!((block.refs, block.previous), (0, before), "block {at}");
            (before, at, seen) = (at, block.next, seen + 1);
        }
        assert_eq!((seen, before), (self.free, self.tail));
        let idle = self.blocks.iter().filter(|block| block.refs == 0).count();
        assert_eq!(idle as u32, self.free);
        let hashed = self
            .blocks
            .iter()
            .filter(|block| block.hash.is_some())
            .count();
        assert_eq!(hashed, self.by_hash.len());
        for (hash, id) in &self.by_hash {
            assert_eq!(self.at(*id).and_then(|block| block.hash), Some(*hash));
        }
    }
}

/// The keys are hashes already, or small numbers of a trace: one multiplication spreads both.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
