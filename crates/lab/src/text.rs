//! Prompt text made from numbers.
//!
//! A trace names what prompts share by block ids and never holds text. Here every id stands for
//! one endless stream of ASCII text, the same on every machine and in every run, and a [`Span`] is
//! the first `tokens` tokens of it. Two prompts that begin with the same spans therefore begin
//! with the same bytes, which is all that a prefix cache looks at.
//!
//! The text is made of three-letter words, so one "token" is [`BYTES_PER_TOKEN`] bytes. A real
//! tokenizer finds one to two tokens in each; token counts in reports come from the server's usage.

/// Bytes of text that stand for one token of a trace.
pub const BYTES_PER_TOKEN: usize = 4;

/// Letters of the words. 32 of them, so five bits choose one; none needs escaping in JSON.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The first `tokens` tokens of the text stream `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Which stream.
    pub id: u64,
    /// How many tokens of it, from its beginning.
    pub tokens: u32,
}

impl Span {
    /// Appends the span's text to `out`: exactly `4 * tokens` bytes.
    pub fn write(self, out: &mut Vec<u8>) {
        let wanted = self.tokens as usize * BYTES_PER_TOKEN;
        let end = out.len() + wanted;
        out.reserve(wanted + 16);
        let mut state = mix(self.id);
        while out.len() < end {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            out.extend_from_slice(&four_words(mix(state)));
        }
        out.truncate(end);
    }
}

/// Text of about so many bytes, always the same.
pub(crate) fn filler(bytes: usize) -> String {
    let mut out = Vec::with_capacity(bytes);
    let tokens = u32::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(u32::MAX);
    Span { id: 1, tokens }.write(&mut out);
    // It is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

/// Four words of three letters and a space from 60 of the 64 bits.
fn four_words(bits: u64) -> [u8; 16] {
    let mut text = [b' '; 16];
    let mut rest = bits;
    for word in text.chunks_exact_mut(BYTES_PER_TOKEN) {
        for letter in &mut word[..3] {
            *letter = LETTERS[(rest & 31) as usize];
            rest >>= 5;
        }
    }
    text
}

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of `u64`
/// that scatters neighbouring ids.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(id: u64, tokens: u32) -> Vec<u8> {
        let mut out = Vec::new();
        Span { id, tokens }.write(&mut out);
        out
    }

    #[test]
    fn a_block_of_512_tokens_is_2048_bytes() {
        assert_eq!(text(7, 512).len(), 2_048);
    }

    #[test]
    fn the_text_of_an_id_never_changes() {
        // Golden: results of different versions are compared with each other only while this holds.
        assert_eq!(String::from_utf8(text(0, 3)).unwrap(), "pnt 3r5 fhi ");
        assert_eq!(String::from_utf8(text(1, 3)).unwrap(), "s3v f4o dga ");
    }

    proptest! {
        #[test]
        fn a_shorter_span_is_a_prefix_of_a_longer_one(id: u64, short in 0u32..600, more in 0u32..600) {
            let long = text(id, short + more);
            prop_assert_eq!(long.len(), (short + more) as usize * BYTES_PER_TOKEN);
            prop_assert!(long.starts_with(&text(id, short)));
        }

        #[test]
        fn different_ids_differ_within_the_first_tokens(a: u64, b: u64) {
            prop_assume!(a != b);
            prop_assert_ne!(text(a, 16), text(b, 16));
        }

        #[test]
        fn text_needs_no_json_escaping(id: u64) {
            prop_assert!(text(id, 64).iter().all(|b| b.is_ascii_alphanumeric() || *b == b' '));
        }
    }
}
