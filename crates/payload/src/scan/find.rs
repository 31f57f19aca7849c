//! Finding the bytes in a JSON string that mean something.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Index of the first quote, backslash or control character.
///
/// Stretches between escapes are short in code and long in prose, so this starts with a word, goes
/// on with blocks that tell the place at once, and then looks at large blocks only for whether there
/// is anything in them.
#[inline]
pub(super) fn special(bytes: &[u8]) -> Option<usize> {
    if let Some((word, _)) = bytes.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(first(marks));
        }
    }
    let mut at = 0;
    for _ in 0..NEAR {
        let Some(block) = bytes[at..].first_chunk() else {
            return in_tail(bytes, at);
        };
        if let Some(place) = in_block(block) {
            return Some(at + place);
        }
        at += BLOCK;
    }
    in_large_blocks(bytes, at)
}

/// Bytes of a block.
const BLOCK: usize = 32;

/// Blocks before the large ones.
const NEAR: usize = 4;

/// The place of the first special byte of a block, written so that the compiler uses vectors.
#[inline]
fn in_block(block: &[u8; BLOCK]) -> Option<usize> {
    let mut marks = [0_u8; BLOCK];
    // An index loop, because that is turned into vectors most reliably.
    for at in 0..BLOCK {
        marks[at] = if is_special(block[at]) { 0xff } else { 0 };
    }
    let (words, _) = marks.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = u64::from_le_bytes(*word);
        if marks != 0 {
            return Some(index * 8 + first(marks));
        }
    }
    None
}

/// The wide loop: branches once for two blocks.
fn in_large_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(large) = bytes[at..].first_chunk::<{ 2 * BLOCK }>() {
        let mut any = false;
        for &byte in large {
            any |= is_special(byte);
        }
        if any {
            break;
        }
        at += large.len();
    }
    while let Some(block) = bytes[at..].first_chunk() {
        if let Some(place) = in_block(block) {
            return Some(at + place);
        }
        at += BLOCK;
    }
    in_tail(bytes, at)
}

fn in_tail(bytes: &[u8], at: usize) -> Option<usize> {
    in_words(&bytes[at..]).map(|place| at + place)
}

/// Which byte of a word the lowest mark is for.
#[inline]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[inline]
fn in_words(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(index * 8 + first(marks));
        }
    }
    let at = tail.iter().position(|&byte| is_special(byte))?;
    Some(words.len() * 8 + at)
}

/// Sets the high bit of bytes that are special. Bits above the lowest one set may be wrong, because
/// a subtraction borrows from its neighbour; the lowest is always right.
#[inline]
fn marks(word: u64) -> u64 {
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    let found = (quote.wrapping_sub(LOW) & !quote)
        | (backslash.wrapping_sub(LOW) & !backslash)
        | (word.wrapping_sub(LOW * 0x20) & !word);
    found & HIGH
}

#[inline]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_looking_at_each_byte(
            plain in 0usize..300,
            rest in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = vec![0x7f_u8; plain];
            bytes.extend(rest);
            let expected = bytes.iter().position(|&byte| is_special(byte));
            prop_assert_eq!(special(&bytes), expected);
        }
    }

    #[test]
    fn every_byte_at_every_place() {
        for len in [200, 333] {
            for place in 0..len {
                let mut bytes = vec![b'~'; len];
                bytes[place] = b'"';
                assert_eq!(special(&bytes), Some(place), "{place} of {len}");
            }
        }
        for byte in 0..=255u8 {
            for len in [1, 7, 8, 9, 31, 33, 64, 97, 130] {
                for place in 0..len {
                    let mut bytes = vec![b'~'; len];
                    bytes[place] = byte;
                    let expected = is_special(byte).then_some(place);
                    assert_eq!(special(&bytes), expected, "byte {byte} at {place} of {len}");
                }
            }
        }
    }
}
