//! Finding the bytes in a JSON string that mean something.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Bytes looked at word by word before the wide loop starts: strings and the stretches between
/// escapes are mostly short.
const NEAR: usize = 32;

/// Index of the first quote, backslash or control character.
#[inline]
pub(super) fn special(bytes: &[u8]) -> Option<usize> {
    let (near, far) = bytes.split_at(bytes.len().min(NEAR));
    if let Some(index) = in_words(near) {
        return Some(index);
    }
    if far.is_empty() {
        None
    } else {
        in_blocks(far).map(|index| NEAR + index)
    }
}

/// The wide loop: branches once for 64 bytes, written so that the compiler uses vectors.
fn in_blocks(bytes: &[u8]) -> Option<usize> {
    let (blocks, tail) = bytes.as_chunks::<64>();
    for (index, block) in blocks.iter().enumerate() {
        let mut any = false;
        for &byte in block {
            any |= is_special(byte);
        }
        if any {
            return in_words(block).map(|at| index * 64 + at);
        }
    }
    in_words(tail).map(|at| blocks.len() * 64 + at)
}

#[inline]
fn in_words(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
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
