//! Hashing of keys that are hashes already.

use std::hash::{BuildHasher, Hasher};

/// Mixes a block hash with a key that prompts cannot know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    key: u64,
}

impl Keyed {
    pub(super) fn new(key: u64) -> Self {
        Self { key }
    }

    /// One wide multiplication, folded: high bits reach the low ones, and the reverse.
    pub(super) fn mix(self, value: u64) -> u64 {
        let wide = u128::from(value ^ self.key) * 0x9e37_79b9_7f4a_7c15;
        (wide >> 64) as u64 ^ wide as u64
    }
}

impl BuildHasher for Keyed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer {
            keyed: *self,
            hash: 0,
        }
    }
}

/// Hasher of a single integer.
#[derive(Debug)]
pub(super) struct Mixer {
    keyed: Keyed,
    hash: u64,
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used by integer keys, but a hasher must take anything.
        for &byte in bytes {
            self.hash = self.keyed.mix(self.hash.rotate_left(8) ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.hash = self.keyed.mix(value);
    }

    fn write_u32(&mut self, value: u32) {
        self.hash = self.keyed.mix(u64::from(value));
    }
}
