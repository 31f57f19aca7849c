//! A resumable JSON scanner: fed chunk by chunk, it tells a [`Sink`] where things are.
//!
//! It builds nothing. All its state is explicit, so that a document may be cut anywhere. What it
//! checks is the grammar of RFC 8259 with these differences, all of them on the side of leaving
//! the decision to the model server:
//!
//! - strings may hold invalid UTF-8 and lone surrogates,
//! - numbers may be of any size,
//! - the outermost value must be an object,
//! - nesting is limited to [`MAX_DEPTH`].

mod find;
mod number;
mod text;

use std::ops::Range;

pub(crate) use number::parse_count;
pub(crate) use text::Token;

use crate::BodyError;
use number::Part;
use text::Escape;

/// Deepest nesting of arrays and objects. CPython's and Go's readers give up at similar depths.
pub(crate) const MAX_DEPTH: usize = 1024;

/// Bytes kept of a key that a chunk boundary cuts. The longest key of interest has 27 letters, and
/// each may be written as a six-byte escape.
const MAX_KEY: usize = 192;

/// Bytes kept of a number or word that a chunk boundary cuts.
const MAX_SCALAR: usize = 64;

/// The two kinds of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    Array,
}

/// The values that are neither strings nor containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Number,
    True,
    False,
    Null,
}

impl Scalar {
    fn word(self) -> &'static [u8] {
        match self {
            Scalar::True => b"true",
            Scalar::False => b"false",
            Scalar::Null => b"null",
            Scalar::Number => b"",
        }
    }
}

/// Listens to a [`Scanner`].
///
/// Offsets count from the start of the document. `depth` is the number of containers around the
/// key or value; the outermost object's members are at depth 1. Spans of strings include the
/// quotes. Every value is told exactly once, in document order.
pub(crate) trait Sink {
    /// A member's key, its opening quote at `at`.
    fn key(&mut self, at: usize, depth: usize, key: Token<'_>);
    /// A container opens at `at`; its content will be at `depth`.
    fn open(&mut self, at: usize, depth: usize, container: Container);
    /// The container whose content was at `depth` ended just before `end`.
    fn close(&mut self, end: usize, depth: usize);
    /// A string value begins at `at`. Returns how many of its raw bytes to keep for
    /// [`Sink::string_end`], which may give more when they are at hand.
    fn string(&mut self, at: usize, depth: usize) -> usize;
    /// A string value ended.
    fn string_end(&mut self, span: Range<usize>, depth: usize, text: Token<'_>);
    /// A number or word; `text` may be cut short when it is longer than any sensible number.
    fn scalar(&mut self, span: Range<usize>, depth: usize, scalar: Scalar, text: &[u8]);
}

/// What the next byte may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the outermost object.
    Start,
    /// A value, after a colon or a comma.
    Value,
    /// A value or the end of the array.
    FirstItem,
    /// A key or the end of the object.
    FirstKey,
    /// A key, after a comma.
    NextKey,
    Colon,
    /// A comma or the end of the container.
    After,
    InKey,
    InString,
    InNumber(Part),
    InWord(Scalar),
    /// After the outermost object.
    Done,
}

/// Reading cannot go on; [`Scanner::failed`] says why. Small, because every step may return it.
#[derive(Debug)]
struct Stop;

/// The index of the next byte to read.
type Step = Result<usize, Stop>;

/// The scanner. One document, then [`Scanner::reset`] or drop.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    depth: usize,
    /// One bit a level: set for objects.
    objects: [u64; MAX_DEPTH / 64],
    /// Whether the innermost container is an object.
    in_object: bool,
    failed: Option<BodyError>,
    /// Document offset of the next chunk's first byte.
    offset: usize,
    /// Document offset at which the current string, number or word began.
    token_at: usize,
    /// How many bytes of the current token to keep.
    keep: usize,
    /// Bytes of the current token that earlier chunks held.
    kept: Vec<u8>,
    /// Whether the current token is longer than what was kept.
    cut: bool,
    escape: Escape,
    /// Whether the current string has any escape.
    escaped: bool,
}

impl Scanner {
    pub(crate) fn new() -> Scanner {
        Scanner {
            state: State::Start,
            depth: 0,
            objects: [0; MAX_DEPTH / 64],
            in_object: false,
            failed: None,
            offset: 0,
            token_at: 0,
            keep: 0,
            kept: Vec::new(),
            cut: false,
            escape: Escape::None,
            escaped: false,
        }
    }

    /// Makes ready for another document, keeping allocations.
    pub(crate) fn reset(&mut self) {
        self.state = State::Start;
        self.depth = 0;
        self.offset = 0;
        self.kept.clear();
        self.escape = Escape::None;
    }

    /// Sets the offset of the next chunk's first byte, for documents with foreign bytes in between.
    pub(crate) fn seek(&mut self, offset: usize) {
        self.offset = offset;
    }

    /// Offset of the next byte to be read.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the document is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads a chunk. After an error the scanner must not be fed again.
    pub(crate) fn feed<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), BodyError> {
        match self.run(chunk, sink) {
            Ok(_) => Ok(()),
            Err(Stop) => Err(self.failed.take().unwrap_or(BodyError::NotAnObject)),
        }
    }

    fn run<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Step {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            at = match self.state {
                State::InString => self.string_rest(chunk, at, sink)?,
                State::InKey => self.key_rest(chunk, at, sink)?,
                State::InNumber(part) => self.number_rest(chunk, at, part, sink)?,
                State::InWord(word) => self.word_rest(chunk, at, word, sink)?,
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => at + 1,
                State::After => self.after(byte, at, sink)?,
                State::Value => self.value(chunk, at, byte, sink)?,
                State::FirstItem if byte == b']' => self.close(at, sink),
                State::FirstItem => self.value(chunk, at, byte, sink)?,
                State::FirstKey if byte == b'}' => self.close(at, sink),
                State::FirstKey | State::NextKey => self.first_quote(chunk, at, byte, sink)?,
                State::Colon if byte == b':' => {
                    self.state = State::Value;
                    at + 1
                }
                State::Colon => return Err(self.invalid(at, "expected `:` after a key")),
                State::Start => self.start(at, byte, sink)?,
                State::Done => {
                    return Err(self.invalid(at, "expected nothing more after the object"));
                }
            };
        }
        self.offset += chunk.len();
        Ok(at)
    }

    /// The document is complete.
    pub(crate) fn finish(&self) -> Result<(), BodyError> {
        let what = match self.state {
            State::Done => return Ok(()),
            State::Start => "it is empty, but must be an object",
            _ => "it ends before the object is complete",
        };
        Err(BodyError::Invalid {
            offset: self.offset,
            what,
        })
    }

    #[cold]
    fn fail(&mut self, error: BodyError) -> Stop {
        self.failed = Some(error);
        Stop
    }

    #[cold]
    fn invalid(&mut self, at: usize, what: &'static str) -> Stop {
        self.fail(BodyError::Invalid {
            offset: self.offset + at,
            what,
        })
    }

    fn start<S: Sink>(&mut self, at: usize, byte: u8, sink: &mut S) -> Step {
        match byte {
            b'{' => self.open(at, Container::Object, sink),
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                Err(self.fail(BodyError::NotAnObject))
            }
            _ => Err(self.invalid(at, "expected `{`")),
        }
    }

    fn after<S: Sink>(&mut self, byte: u8, at: usize, sink: &mut S) -> Step {
        match byte {
            b',' => {
                self.state = self.after_comma();
                Ok(at + 1)
            }
            b'}' if self.in_object => Ok(self.close(at, sink)),
            b']' if !self.in_object => Ok(self.close(at, sink)),
            _ if self.in_object => Err(self.invalid(at, "expected `,` or `}` after a member")),
            _ => Err(self.invalid(at, "expected `,` or `]` after an element")),
        }
    }

    fn after_comma(&self) -> State {
        if self.in_object {
            State::NextKey
        } else {
            State::Value
        }
    }

    /// A value ended before `at`. Steps over a comma that follows at once, as it mostly does.
    #[inline]
    fn value_done(&mut self, chunk: &[u8], at: usize) -> usize {
        if chunk.get(at) == Some(&b',') {
            self.state = self.after_comma();
            at + 1
        } else {
            self.state = State::After;
            at
        }
    }

    fn value<S: Sink>(&mut self, chunk: &[u8], at: usize, byte: u8, sink: &mut S) -> Step {
        match byte {
            b'"' => {
                let keep = sink.string(self.offset + at, self.depth);
                self.begin(at, State::InString, keep);
                self.string_rest(chunk, at + 1, sink)
            }
            b'{' => self.open(at, Container::Object, sink),
            b'[' => self.open(at, Container::Array, sink),
            b'-' | b'0'..=b'9' => {
                let part = Part::first(byte);
                self.begin(at, State::InNumber(part), MAX_SCALAR);
                self.number_rest(chunk, at + 1, part, sink)
            }
            b't' | b'f' | b'n' => {
                let word = match byte {
                    b't' => Scalar::True,
                    b'f' => Scalar::False,
                    _ => Scalar::Null,
                };
                self.begin(at, State::InWord(word), MAX_SCALAR);
                self.word_rest(chunk, at + 1, word, sink)
            }
            _ => Err(self.invalid(at, "expected a value")),
        }
    }

    fn begin(&mut self, at: usize, state: State, keep: usize) {
        self.state = state;
        self.token_at = self.offset + at;
        self.keep = keep;
        self.escaped = false;
    }

    fn open<S: Sink>(&mut self, at: usize, container: Container, sink: &mut S) -> Step {
        let offset = self.offset + at;
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        let Some(bits) = self.objects.get_mut(word) else {
            return Err(self.fail(BodyError::TooDeep {
                offset,
                limit: MAX_DEPTH,
            }));
        };
        self.state = match container {
            Container::Object => {
                *bits |= bit;
                self.in_object = true;
                State::FirstKey
            }
            Container::Array => {
                *bits &= !bit;
                self.in_object = false;
                State::FirstItem
            }
        };
        self.depth += 1;
        sink.open(offset, self.depth, container);
        Ok(at + 1)
    }

    fn close<S: Sink>(&mut self, at: usize, sink: &mut S) -> usize {
        sink.close(self.offset + at + 1, self.depth);
        self.depth -= 1;
        match self.depth.checked_sub(1) {
            None => self.state = State::Done,
            Some(level) => {
                let bits = self.objects.get(level / 64).copied().unwrap_or_default();
                self.in_object = bits >> (level % 64) & 1 == 1;
                self.state = State::After;
            }
        }
        at + 1
    }

    fn word_rest<S: Sink>(
        &mut self,
        chunk: &[u8],
        mut at: usize,
        scalar: Scalar,
        sink: &mut S,
    ) -> Step {
        let word = scalar.word();
        let mut seen = self.offset + at - self.token_at;
        while let Some(expected) = word.get(seen) {
            match chunk.get(at) {
                None => return Ok(at),
                Some(byte) if byte == expected => {}
                Some(_) => return Err(self.invalid(at, "expected `true`, `false` or `null`")),
            }
            at += 1;
            seen += 1;
        }
        self.state = State::After;
        sink.scalar(self.token_at..self.offset + at, self.depth, scalar, word);
        Ok(at)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::json;
