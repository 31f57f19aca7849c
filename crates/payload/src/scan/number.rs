//! Numbers.

use super::{MAX_SCALAR, Scalar, Scanner, Sink, State, Step};

/// How far into a number the scanner is (RFC 8259 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Minus,
    /// A leading zero, after which no digit may come.
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Part {
    pub(super) fn first(byte: u8) -> Part {
        match byte {
            b'-' => Part::Minus,
            b'0' => Part::Zero,
            _ => Part::Digits,
        }
    }

    /// The part after `byte`, or `None` when `byte` does not belong to the number.
    fn next(self, byte: u8) -> Option<Part> {
        match (self, byte) {
            (Part::Minus, b'0') => Some(Part::Zero),
            (Part::Minus | Part::Digits, b'0'..=b'9') => Some(Part::Digits),
            (Part::Zero | Part::Digits, b'.') => Some(Part::Point),
            (Part::Point | Part::Fraction, b'0'..=b'9') => Some(Part::Fraction),
            (Part::Zero | Part::Digits | Part::Fraction, b'e' | b'E') => Some(Part::Exponent),
            (Part::Exponent, b'+' | b'-') => Some(Part::ExponentSign),
            (Part::Exponent | Part::ExponentSign | Part::ExponentDigits, b'0'..=b'9') => {
                Some(Part::ExponentDigits)
            }
            _ => None,
        }
    }

    /// Whether a number may end here.
    fn may_end(self) -> bool {
        matches!(
            self,
            Part::Zero | Part::Digits | Part::Fraction | Part::ExponentDigits
        )
    }
}

impl Scanner {
    pub(super) fn number_rest<S: Sink>(
        &mut self,
        chunk: &[u8],
        mut at: usize,
        mut part: Part,
        sink: &mut S,
    ) -> Step {
        loop {
            if part == Part::Digits {
                at += digits(&chunk[at..]);
            }
            let Some(&byte) = chunk.get(at) else { break };
            match part.next(byte) {
                Some(next) => {
                    part = next;
                    at += 1;
                }
                None if part.may_end() => {
                    at = self.number_end(chunk, at, sink);
                    // Token ids come by the ten thousand: the next one is read right here.
                    match chunk.get(at) {
                        Some(first @ b'0'..=b'9') if self.state == State::Value => {
                            part = Part::first(*first);
                            self.begin(at, State::InNumber(part), MAX_SCALAR);
                            at += 1;
                        }
                        _ => return Ok(at),
                    }
                }
                None => return Err(self.invalid(at, "expected a digit")),
            }
        }
        self.state = State::InNumber(part);
        self.keep_rest(chunk, 0);
        Ok(at)
    }

    fn number_end<S: Sink>(&mut self, chunk: &[u8], end: usize, sink: &mut S) -> usize {
        let span = self.token_at..self.offset + end;
        if let Some(text) = self.whole_token(chunk, end, 0) {
            sink.scalar(span, self.depth, Scalar::Number, text);
        } else {
            self.keep_until(chunk, end);
            sink.scalar(span, self.depth, Scalar::Number, &self.kept);
            self.kept.clear();
        }
        self.value_done(chunk, end)
    }
}

/// How many digits a text begins with.
#[inline]
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Reads a count of tokens. Whole numbers in any notation are taken, because pydantic, which most
/// model servers use, takes them too; anything else is `None`.
pub(crate) fn parse_count(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(count) = text.parse() {
        return Some(count);
    }
    let number: f64 = text.parse().ok()?;
    let exact = number >= 0.0 && number <= 2f64.powi(53) && number.fract() == 0.0;
    exact.then_some(number as u64)
}
