//! One server-sent event.

use crate::reply::Reply;
use crate::scan::Scanner;

/// The marker that ends OpenAI streams.
const DONE: &[u8] = b"[DONE]";

/// An event that is being read.
#[derive(Debug)]
pub(super) struct Event {
    data: Data,
    named_error: bool,
    /// Whether there was any line but comments.
    begun: bool,
    /// Whether the stream's first line has gone by; before it there may be a byte order mark.
    past_start: bool,
    scanner: Scanner,
    reply: Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    None,
    Done,
    Json,
    Broken,
}

/// What a complete event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has no data.
    Nothing,
    /// It is the end marker.
    Done,
    /// Its data is a JSON object.
    Object,
    /// Its data is something else.
    Unreadable,
}

impl Event {
    pub(super) fn new() -> Event {
        Event {
            data: Data::None,
            named_error: false,
            begun: false,
            past_start: false,
            scanner: Scanner::new(),
            reply: Reply::default(),
        }
    }

    /// Makes ready for the next event.
    pub(super) fn clear(&mut self) {
        self.data = Data::None;
        self.named_error = false;
        self.begun = false;
    }

    /// Whether nothing but comments has come yet.
    pub(super) fn is_empty(&self) -> bool {
        !self.begun
    }

    /// Takes a line that begins `at` bytes after the event.
    pub(super) fn line(&mut self, mut line: &[u8], mut at: usize) {
        if !self.past_start {
            self.past_start = true;
            if let Some(marked) = line.strip_prefix(b"\xef\xbb\xbf") {
                line = marked;
                at += 3;
            }
        }
        if let Some(value) = line.strip_prefix(b"data") {
            match value {
                [] => self.data(value, at + 4),
                [b':', b' ', value @ ..] => self.data(value, at + 6),
                [b':', value @ ..] => self.data(value, at + 5),
                // Another field, whose name only begins like this one.
                _ => {}
            }
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.named_error = name.trim_ascii() == b"error";
        }
        self.begun |= !line.is_empty() && line[0] != b':';
    }

    fn data(&mut self, value: &[u8], at: usize) {
        self.data = match self.data {
            Data::None if value == DONE => Data::Done,
            Data::None => {
                self.scanner.reset();
                self.reply.reset();
                self.scan(value, at)
            }
            Data::Json => {
                // Lines of data are joined by line feeds.
                match self.scanner.feed(b"\n", &mut self.reply) {
                    Ok(()) => self.scan(value, at),
                    Err(_) => Data::Broken,
                }
            }
            Data::Done | Data::Broken => Data::Broken,
        };
    }

    fn scan(&mut self, value: &[u8], at: usize) -> Data {
        self.scanner.seek(at);
        match self.scanner.feed(value, &mut self.reply) {
            Ok(()) => Data::Json,
            Err(_) => Data::Broken,
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self.data {
            Data::None => Outcome::Nothing,
            Data::Done => Outcome::Done,
            Data::Json if self.scanner.is_done() => Outcome::Object,
            Data::Json | Data::Broken => Outcome::Unreadable,
        }
    }

    /// What the data's object told.
    pub(super) fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Whether the event calls itself an error.
    pub(super) fn is_error(&self) -> bool {
        self.named_error
    }
}
