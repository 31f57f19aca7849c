//! Prompt blocks: the hashes by which prefixes are recognised.
//!
//! The prompt's spans, one after the other, are cut into blocks of equal size. Each block's hash
//! also depends on all blocks before it, so equal hashes mean equal prefixes. The last, partial
//! block is included, as llm-d's router does.
//!
//! Before hashing, two kinds of span are brought to the size their tokens have at four bytes a
//! token: token ids become four bytes each, and a medium becomes a pattern of [`MEDIA_TOKENS`]
//! tokens made of its own hash. So one block always stands for the same number of tokens, and one
//! large image does not drown the text.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use crate::{BYTES_PER_TOKEN, Body, Facts, MEDIA_TOKENS, PromptKind};

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bytes that stand for one medium.
const MEDIUM_BYTES: usize = (MEDIA_TOKENS * BYTES_PER_TOKEN) as usize;

/// The hash that starts every chain of blocks for this model and salt. Without a salt it differs
/// from that with any salt, the empty one included.
pub fn prefix_seed(model: &str, cache_salt: Option<&str>) -> u64 {
    let model = xxh3_64(model.as_bytes());
    match cache_salt {
        None => model,
        Some(salt) => xxh3_64_with_seed(salt.as_bytes(), model.wrapping_mul(MULTIPLIER)),
    }
}

/// Appends to `out` one chained hash for each `block_bytes` of the prompt, the last one for the
/// partial block at the end.
///
/// `block_bytes` is the block's size in tokens times [`BYTES_PER_TOKEN`]. `body` must be the body
/// that `facts` were read from.
pub fn prompt_blocks(
    body: &Body,
    facts: &Facts,
    seed: u64,
    block_bytes: usize,
    out: &mut Vec<u64>,
) {
    let block_bytes = block_bytes.max(1);
    out.reserve(facts.prompt_bytes / block_bytes + 1);
    let mut blocks = Blocks {
        block_bytes,
        partial: Vec::new(),
        chain: seed,
        out,
    };
    for span in &facts.prompt {
        let slices = body.slice(span.range.clone());
        match span.kind {
            PromptKind::TokenIds => blocks.token_ids(slices),
            PromptKind::Media => blocks.medium(slices),
            PromptKind::Tools | PromptKind::System | PromptKind::Message | PromptKind::Text => {
                slices.for_each(|slice| blocks.push(slice));
            }
        }
    }
    blocks.finish();
}

struct Blocks<'o> {
    block_bytes: usize,
    /// The beginning of a block whose end has not been seen.
    partial: Vec<u8>,
    chain: u64,
    out: &'o mut Vec<u64>,
}

impl Blocks<'_> {
    fn push(&mut self, mut bytes: &[u8]) {
        if !self.partial.is_empty() {
            let missing = self.block_bytes - self.partial.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() < self.block_bytes {
                return;
            }
            let hash = xxh3_64(&self.partial);
            self.link(hash);
            self.partial.clear();
        }
        let mut blocks = bytes.chunks_exact(self.block_bytes);
        for block in &mut blocks {
            self.link(xxh3_64(block));
        }
        self.partial.extend_from_slice(blocks.remainder());
    }

    /// Chains a block's hash. The blocks are hashed apart from the chain, so that the CPU can work
    /// at several of them at a time; each step of the chain loses nothing of what came before.
    #[inline]
    fn link(&mut self, hash: u64) {
        self.chain = self.chain.rotate_left(29).wrapping_mul(MULTIPLIER) ^ hash;
        self.out.push(scatter(self.chain));
    }

    fn token_ids<'s>(&mut self, slices: impl Iterator<Item = &'s [u8]>) {
        let mut packed = [0_u8; 256];
        let mut used = 0;
        let mut id: Option<u32> = None;
        // Something that is no digit follows, so that the last id is completed too.
        for slice in slices.chain([&b" "[..]]) {
            for &byte in slice {
                let digit = byte.wrapping_sub(b'0');
                if digit < 10 {
                    let so_far = id.unwrap_or(0);
                    id = Some(so_far.wrapping_mul(10).wrapping_add(u32::from(digit)));
                } else if let Some(complete) = id.take() {
                    packed[used..used + 4].copy_from_slice(&complete.to_le_bytes());
                    used += 4;
                    if used == packed.len() {
                        self.push(&packed);
                        used = 0;
                    }
                }
            }
        }
        self.push(&packed[..used]);
    }

    fn medium<'s>(&mut self, slices: impl Iterator<Item = &'s [u8]>) {
        let mut hasher = Xxh3::new();
        slices.for_each(|slice| hasher.update(slice));
        let pattern = hasher.digest().to_le_bytes();
        let mut stand_in = [0_u8; MEDIUM_BYTES];
        for (place, byte) in stand_in.iter_mut().zip(pattern.iter().cycle()) {
            *place = *byte;
        }
        self.push(&stand_in);
    }

    fn finish(mut self) {
        if !self.partial.is_empty() {
            let hash = xxh3_64(&self.partial);
            self.link(hash);
        }
    }
}

/// Spreads the chain's state over all bits, because indexes take shards from some of them.
#[inline]
fn scatter(mut hash: u64) -> u64 {
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests;
