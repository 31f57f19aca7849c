//! Generated text and how text becomes tokens.
//!
//! Four bytes are one token, everywhere: in prompts, in what the server generates, in token ids
//! (the four bytes as a little-endian number). So an answer that comes back as part of the next
//! prompt is found in the cache, as with a real tokenizer most of it is.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of text in a token.
pub(super) const TOKEN_BYTES: usize = 4;

/// Letters that a token starts with, goes on with and ends with: few enough to spell no insult.
const ONSETS: &[u8; 10] = b"bdlmnrstvz";
const VOWELS: &[u8; 5] = b"aeiou";
const CODAS: &[u8; 5] = b"lmnrs";

/// The token at `index` of the output with this seed: a space and three letters.
pub(super) fn token(seed: u64, index: u32) -> [u8; TOKEN_BYTES] {
    let draw = xxh3_64_with_seed(&index.to_le_bytes(), seed);
    let pick = |letters: &[u8], shift: u32| {
        let at = (draw >> shift) as usize % letters.len();
        letters.get(at).copied().unwrap_or(b'a')
    };
    [b' ', pick(ONSETS, 0), pick(VOWELS, 16), pick(CODAS, 32)]
}

/// Appends the tokens of `range` to `out`.
pub(super) fn extend(out: &mut Vec<u8>, seed: u64, range: std::ops::Range<u32>) {
    out.reserve(range.len() * TOKEN_BYTES);
    for index in range {
        out.extend_from_slice(&token(seed, index));
    }
}

/// The first `count` tokens as text.
pub(super) fn text(seed: u64, count: u32) -> String {
    let mut bytes = Vec::new();
    extend(&mut bytes, seed, 0..count);
    String::from_utf8(bytes).unwrap_or_default()
}

/// The first `count` tokens as ids.
pub(super) fn ids(seed: u64, range: std::ops::Range<u32>) -> Vec<u32> {
    range
        .map(|index| u32::from_le_bytes(token(seed, index)))
        .collect()
}

/// How many tokens these bytes are.
pub(super) fn count(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(TOKEN_BYTES)).unwrap_or(u32::MAX)
}

/// The bytes as token ids, the last one padded with zeros.
pub(super) fn to_ids(bytes: &[u8]) -> Vec<u32> {
    let id = |chunk: &[u8]| {
        let mut padded = [0; TOKEN_BYTES];
        for (to, from) in padded.iter_mut().zip(chunk) {
            *to = *from;
        }
        u32::from_le_bytes(padded)
    };
    bytes.chunks(TOKEN_BYTES).map(id).collect()
}

/// One hash for each full block of `bytes`, chained from `seed`.
pub(super) fn block_hashes(bytes: &[u8], block_size: u32, seed: u64) -> Vec<u64> {
    let mut chain = seed;
    let blocks = bytes.chunks_exact(block_size as usize * TOKEN_BYTES);
    let link = |block| {
        chain = xxh3_64_with_seed(block, chain);
        chain
    };
    blocks.map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_ids_are_the_same_tokens() {
        let text = text(7, 10);
        assert_eq!(text.len(), 40);
        assert_eq!(to_ids(text.as_bytes()), ids(7, 0..10));
        assert_ne!(text, super::text(8, 10));
    }

    #[test]
    fn hashes_chain_so_that_equal_blocks_differ_by_what_precedes_them() {
        let bytes = [1; 64 * 3 + 5];
        let hashes = block_hashes(&bytes, 16, 9);
        assert_eq!(hashes.len(), 3);
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
        assert_eq!(block_hashes(&bytes[..64], 16, 9), hashes[..1]);
        assert_ne!(block_hashes(&bytes[..64], 16, 8), hashes[..1]);
    }
}
