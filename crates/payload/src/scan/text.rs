//! Strings: walking over them, and reading the few that matter.

use std::borrow::Cow;
use std::str;

use super::{MAX_KEY, Scanner, Sink, State, Step, Stop, find};

/// Where in an escape sequence the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    None,
    /// After the backslash.
    Start,
    /// So many hex digits of a `\u` escape are still to come.
    Hex(u8),
}

/// The raw bytes between a string's quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    raw: &'a [u8],
    escaped: bool,
    cut: bool,
}

/// A string cannot be turned into text: it is cut short, is not UTF-8 or has a lone surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotText;

impl<'a> Token<'a> {
    /// A text that is not written as a string: a number or a word.
    pub(crate) fn plain(raw: &'a [u8]) -> Token<'a> {
        Token {
            raw,
            escaped: false,
            cut: false,
        }
    }

    /// The string as it is written, escapes and all; possibly only its beginning.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether the string is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_empty() && !self.cut
    }

    /// Whether only the beginning was kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// The bytes of the name this spells, for comparing; `None` for what cannot be a known name.
    #[inline]
    pub(crate) fn name(&self) -> Option<Cow<'a, [u8]>> {
        match (self.escaped, self.cut) {
            (_, true) => None,
            (false, false) => Some(Cow::Borrowed(self.raw)),
            (true, false) => self
                .text()
                .ok()
                .map(|text| Cow::Owned(text.into_owned().into_bytes())),
        }
    }

    /// The text with escapes undone.
    pub(crate) fn text(&self) -> Result<Cow<'a, str>, NotText> {
        if self.cut {
            return Err(NotText);
        }
        let raw = str::from_utf8(self.raw).map_err(|_| NotText)?;
        if !self.escaped {
            return Ok(Cow::Borrowed(raw));
        }
        unescape(raw).map(Cow::Owned)
    }
}

/// Steps over escapes that are whole and valid, as nearly all are. What is left to the slow way are
/// those that a chunk cuts, and errors.
#[inline]
fn plain_escapes(chunk: &[u8], mut at: usize) -> usize {
    loop {
        at += match &chunk[at..] {
            [
                b'\\',
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                ..,
            ] => 2,
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => {
                6
            }
            _ => return at,
        };
    }
}

fn unescape(raw: &str) -> Result<String, NotText> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut chars = escape.chars();
        let letter = chars.next().ok_or(NotText)?;
        rest = chars.as_str();
        match letter {
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => {
                let (unit, after) = hex4(rest)?;
                rest = after;
                text.push(match unit {
                    0xD800..=0xDBFF => {
                        let (low, after) = hex4(rest.strip_prefix("\\u").ok_or(NotText)?)?;
                        rest = after;
                        surrogates(unit, low)?
                    }
                    _ => char::from_u32(unit).ok_or(NotText)?,
                });
            }
            plain => text.push(plain),
        }
    }
    text.push_str(rest);
    Ok(text)
}

fn hex4(text: &str) -> Result<(u32, &str), NotText> {
    let (digits, rest) = text.split_at_checked(4).ok_or(NotText)?;
    let unit = u32::from_str_radix(digits, 16).map_err(|_| NotText)?;
    Ok((unit, rest))
}

fn surrogates(high: u32, low: u32) -> Result<char, NotText> {
    if !(0xDC00..=0xDFFF).contains(&low) {
        return Err(NotText);
    }
    char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or(NotText)
}

impl Scanner {
    /// Reads the opening quote of a key and, if it is in the chunk, the key.
    pub(super) fn first_quote<S: Sink>(
        &mut self,
        chunk: &[u8],
        at: usize,
        byte: u8,
        sink: &mut S,
    ) -> Step {
        if byte != b'"' {
            return Err(self.invalid(at, "expected a key in quotes"));
        }
        self.begin(at, State::InKey, MAX_KEY);
        self.key_rest(chunk, at + 1, sink)
    }

    pub(super) fn key_rest<S: Sink>(&mut self, chunk: &[u8], at: usize, sink: &mut S) -> Step {
        let Some(end) = self.walk(chunk, at)? else {
            self.keep_rest(chunk, 1);
            return Ok(chunk.len());
        };
        let escaped = self.escaped;
        if let Some(raw) = self.whole_token(chunk, end, 1) {
            sink.key(
                self.token_at,
                self.depth,
                Token {
                    raw,
                    escaped,
                    cut: false,
                },
            );
        } else {
            self.keep_until(chunk, end);
            let token = Token {
                raw: &self.kept,
                escaped,
                cut: self.cut,
            };
            sink.key(self.token_at, self.depth, token);
            self.kept.clear();
        }
        if chunk.get(end + 1) == Some(&b':') {
            self.state = State::Value;
            Ok(end + 2)
        } else {
            self.state = State::Colon;
            Ok(end + 1)
        }
    }

    pub(super) fn string_rest<S: Sink>(&mut self, chunk: &[u8], at: usize, sink: &mut S) -> Step {
        let Some(end) = self.walk(chunk, at)? else {
            self.keep_rest(chunk, 1);
            return Ok(chunk.len());
        };
        let escaped = self.escaped;
        let span = self.token_at..self.offset + end + 1;
        if let Some(raw) = self.whole_token(chunk, end, 1) {
            sink.string_end(
                span,
                self.depth,
                Token {
                    raw,
                    escaped,
                    cut: false,
                },
            );
        } else {
            self.keep_until(chunk, end);
            let token = Token {
                raw: &self.kept,
                escaped,
                cut: self.cut,
            };
            sink.string_end(span, self.depth, token);
            self.kept.clear();
        }
        Ok(self.value_done(chunk, end + 1))
    }

    /// Index of the closing quote, or `None` when the string goes on in the next chunk.
    #[inline]
    fn walk(&mut self, chunk: &[u8], mut at: usize) -> Result<Option<usize>, Stop> {
        loop {
            if self.escape != Escape::None {
                at = self.escape_rest(chunk, at)?;
                if self.escape != Escape::None {
                    return Ok(None);
                }
            }
            let Some(found) = find::special(&chunk[at..]) else {
                return Ok(None);
            };
            at += found;
            match chunk[at] {
                b'"' => return Ok(Some(at)),
                b'\\' => {
                    self.escaped = true;
                    at = plain_escapes(chunk, at);
                    if chunk.get(at) == Some(&b'\\') {
                        self.escape = Escape::Start;
                        at += 1;
                    }
                }
                _ => {
                    let what = "control characters in strings must be escaped";
                    return Err(self.invalid(at, what));
                }
            }
        }
    }

    fn escape_rest(&mut self, chunk: &[u8], mut at: usize) -> Step {
        while let Some(&byte) = chunk.get(at) {
            self.escape = match (self.escape, byte) {
                (Escape::None, _) => return Ok(at),
                (Escape::Start, b'u') => Escape::Hex(4),
                (Escape::Start, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                    Escape::None
                }
                (Escape::Start, _) => {
                    return Err(self.invalid(at, "there is no such escape sequence"));
                }
                (Escape::Hex(left), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    if left > 1 {
                        Escape::Hex(left - 1)
                    } else {
                        Escape::None
                    }
                }
                (Escape::Hex(_), _) => {
                    return Err(self.invalid(at, "expected four hex digits after `\\u`"));
                }
            };
            at += 1;
        }
        Ok(at)
    }

    /// The current token, `skip` bytes after its start, if it began in this chunk.
    #[inline]
    pub(super) fn whole_token<'c>(
        &self,
        chunk: &'c [u8],
        end: usize,
        skip: usize,
    ) -> Option<&'c [u8]> {
        let from = self.token_at.checked_sub(self.offset)? + skip;
        chunk.get(from..end)
    }

    /// The chunk ends within a token: keeps what was asked for.
    pub(super) fn keep_rest(&mut self, chunk: &[u8], skip: usize) {
        let began_here = self.token_at.checked_sub(self.offset);
        if began_here.is_some() {
            self.cut = false;
        }
        let from = began_here.map_or(0, |at| at + skip).min(chunk.len());
        self.keep_part(&chunk[from..]);
    }

    /// The token that began in an earlier chunk ends at `end`.
    pub(super) fn keep_until(&mut self, chunk: &[u8], end: usize) {
        self.keep_part(&chunk[..end]);
    }

    fn keep_part(&mut self, part: &[u8]) {
        let room = self.keep.saturating_sub(self.kept.len());
        let kept = &part[..part.len().min(room)];
        self.kept.extend_from_slice(kept);
        self.cut |= kept.len() < part.len();
    }
}
