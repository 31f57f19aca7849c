//! Reading `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) as it arrives.
//!
//! Only the small fields `model` and `stream` are read; files are stepped over. A form that is
//! broken is not an error here: it is forwarded as it is and the model server judges it.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;

use crate::content::parameter;
use crate::name::{MAX_NAME_BYTES, Name, is_true};
use crate::scan::Token;
use crate::{BodyError, Facts};

/// Most bytes of one part's headers. A part with more is stepped over.
const MAX_HEADERS: usize = 16 * 1024;

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A part's content, or what stands before the first part.
    Content(Field),
    /// The two bytes after a delimiter: dashes end the form.
    Delimited,
    /// The rest of the delimiter's line.
    Padding,
    Headers,
    /// After the last part.
    Done,
}

/// The fields that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    Other,
}

/// A form that is being read.
#[derive(Debug)]
pub(crate) struct Form {
    state: State,
    /// CR LF, two dashes, and the boundary. CR stands only at its start, so a failed match can only
    /// begin anew at the byte that broke it.
    delimiter: Box<[u8]>,
    /// Bytes of the delimiter that the last bytes match.
    matched: usize,
    /// Form offset of the next byte.
    offset: usize,
    /// Form offset of the current part's content.
    content_at: usize,
    /// The current part's headers, or its content if it is wanted.
    kept: Vec<u8>,
    model: Name,
    model_span: Option<Range<usize>>,
    stream: bool,
}

impl Form {
    pub(crate) fn new(boundary: &[u8]) -> Form {
        Form {
            state: State::Content(Field::Other),
            delimiter: [b"\r\n--", boundary].concat().into(),
            // The first delimiter may stand at the very beginning, with no line end before it.
            matched: 2,
            offset: 0,
            content_at: 0,
            kept: Vec::new(),
            model: Name::Absent,
            model_span: None,
            stream: false,
        }
    }

    /// The model, once its part is complete.
    pub(crate) fn model(&self) -> Option<&Arc<str>> {
        self.model.get()
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            let before = rest.len();
            rest = match self.state {
                State::Content(field) => self.content(rest, field),
                State::Delimited => {
                    self.delimited(byte);
                    after
                }
                State::Padding => {
                    if byte == b'\n' {
                        self.state = State::Headers;
                    }
                    after
                }
                State::Headers => {
                    self.offset += 1;
                    self.header(byte);
                    self.offset -= 1;
                    after
                }
                State::Done => &[],
            };
            self.offset += before - rest.len();
        }
    }

    /// Reads content up to the next possible delimiter. The offset is brought up to date by the
    /// caller, after this.
    fn content<'c>(&mut self, rest: &'c [u8], field: Field) -> &'c [u8] {
        if self.matched == 0 {
            let plain = memchr(b'\r', rest).unwrap_or(rest.len());
            self.keep(&rest[..plain], field);
            if plain == rest.len() {
                return &[];
            }
            self.matched = 1;
            return &rest[plain + 1..];
        }
        let wanted = &self.delimiter[self.matched..];
        let same = wanted.iter().zip(rest).take_while(|(a, b)| a == b).count();
        if same == wanted.len() {
            // Saturating for the very first delimiter, which has no line end before it.
            let end = (self.offset + same).saturating_sub(self.delimiter.len());
            self.part_end(field, end);
        } else if same == rest.len() {
            self.matched += same;
        } else {
            // No delimiter after all: what matched is content.
            let content = self.delimiter[..self.matched + same].to_vec();
            self.keep(&content, field);
            self.matched = 0;
        }
        &rest[same..]
    }

    fn keep(&mut self, content: &[u8], field: Field) {
        if field == Field::Other {
            return;
        }
        // One byte more than allowed tells that it is too long.
        let room = (MAX_NAME_BYTES + 1).saturating_sub(self.kept.len());
        self.kept
            .extend_from_slice(&content[..content.len().min(room)]);
    }

    fn part_end(&mut self, field: Field, end: usize) {
        match field {
            Field::Model => {
                self.model = Name::read(Token::plain(&self.kept), "model");
                self.model_span = Some(self.content_at..end);
            }
            Field::Stream => self.stream = is_true(&self.kept),
            Field::Other => {}
        }
        self.kept.clear();
        self.matched = 0;
        self.state = State::Delimited;
    }

    fn delimited(&mut self, byte: u8) {
        self.state = match (byte, self.matched) {
            (b'-', 0) => {
                self.matched = 1;
                return;
            }
            (b'-', _) => State::Done,
            (b'\n', _) => State::Headers,
            _ => State::Padding,
        };
        self.matched = 0;
    }

    /// Takes a byte of a part's headers; the offset already counts it.
    fn header(&mut self, byte: u8) {
        if self.kept.len() < MAX_HEADERS {
            self.kept.push(byte);
        } else {
            // Keeps the end, so that the empty line is still seen.
            self.kept.drain(..MAX_HEADERS / 2);
            self.kept.push(byte);
        }
        let no_headers = self.kept == b"\r\n";
        if byte == b'\n' && (no_headers || self.kept.ends_with(b"\r\n\r\n")) {
            let field = field_of(&self.kept);
            self.kept.clear();
            self.content_at = self.offset;
            self.state = State::Content(field);
        }
    }

    pub(crate) fn finish(self) -> Result<Facts, BodyError> {
        Ok(Facts {
            model: self.model.finish()?,
            model_span: self.model_span,
            model_in_form: true,
            stream: self.stream,
            ..Facts::default()
        })
    }
}

/// Which field a part is, told from its headers. A part with a file name is never a field.
fn field_of(headers: &[u8]) -> Field {
    const NAME: &[u8] = b"content-disposition:";
    let disposition = headers.split(|&byte| byte == b'\n').find(|line| {
        line.get(..NAME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(NAME))
    });
    let Some(disposition) = disposition.map(<[u8]>::trim_ascii_end) else {
        return Field::Other;
    };
    if parameter(disposition, b"filename").is_some()
        || parameter(disposition, b"filename*").is_some()
    {
        return Field::Other;
    }
    match parameter(disposition, b"name").as_deref() {
        Some(b"model") => Field::Model,
        Some(b"stream") => Field::Stream,
        _ => Field::Other,
    }
}

#[cfg(test)]
mod tests;
