//! The reader of answers that are one JSON document.

use bytes::Bytes;

use crate::patch::quoted;
use crate::reply::Reply;
use crate::scan::Scanner;
use crate::{Api, FinishReason, Rename, Usage};

/// Follows a JSON answer on its way to the client.
///
/// It never holds anything back: what is to be renamed is replaced while it passes, even where a
/// chunk ends in the middle of it. An answer that is not a JSON object passes as it is.
#[derive(Debug)]
pub struct JsonResponse {
    scanner: Scanner,
    reply: Reply,
    /// The new name as a JSON string.
    rename: Option<Bytes>,
    /// Whether the last chunk ended within a name that is being replaced.
    in_model: bool,
    /// Whether the answer turned out not to be JSON.
    failed: bool,
}

impl JsonResponse {
    /// A reader for the answer to a request of `api`. With `rename` the length changes: drop the
    /// `content-length` header.
    pub fn new(_api: Api, rename: Option<Rename>) -> JsonResponse {
        JsonResponse {
            scanner: Scanner::new(),
            reply: Reply::default(),
            rename: rename.map(|rename| Bytes::from(quoted(&rename.to))),
            in_model: false,
            failed: false,
        }
    }

    /// Takes the next bytes and hands them on.
    pub fn push(&mut self, chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        if self.failed {
            return out(chunk);
        }
        let base = self.scanner.offset();
        self.failed = self.scanner.feed(&chunk, &mut self.reply).is_err();
        match &self.rename {
            None => out(chunk),
            Some(name) => {
                let mut rest = 0;
                for span in &self.reply.models {
                    if span.start >= base {
                        emit(chunk.slice(rest..span.start - base), out);
                        out(name.clone());
                    }
                    rest = span.end - base;
                    self.in_model = false;
                }
                if let Some(start) = self.reply.model_open
                    && !self.failed
                {
                    if start >= base {
                        emit(chunk.slice(rest..start - base), out);
                        out(name.clone());
                    }
                    self.in_model = true;
                    rest = chunk.len();
                }
                emit(chunk.slice(rest..), out);
            }
        }
        self.reply.models.clear();
    }

    /// The answer ended. Nothing was held back, so nothing is handed on.
    pub fn finish(&mut self, _out: &mut impl FnMut(Bytes)) {}

    /// Token counts, if the answer told them.
    pub fn usage(&self) -> Option<Usage> {
        self.reply.counts.usage()
    }

    /// Why generation stopped, if that was said.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.reply.finish_reason
    }

    /// Whether the answer is an error.
    pub fn saw_error(&self) -> bool {
        self.reply.is_error()
    }

    /// Whether the answer is a complete JSON object so far. One that ends before was cut off.
    pub fn is_complete(&self) -> bool {
        !self.failed && self.scanner.is_done()
    }
}

fn emit(bytes: Bytes, out: &mut impl FnMut(Bytes)) {
    if !bytes.is_empty() {
        out(bytes);
    }
}

#[cfg(test)]
mod tests;
