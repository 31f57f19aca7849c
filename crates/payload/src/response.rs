//! The reader of answers that are one JSON document.

use bytes::Bytes;

use crate::{Api, FinishReason, Rename, Usage};

/// Follows a JSON answer on its way to the client. Never buffers.
#[derive(Debug)]
pub struct JsonResponse {
    api: Api,
}

impl JsonResponse {
    /// A reader for the answer to a request of `api`. With `rename` the length changes: drop the
    /// `content-length` header.
    pub fn new(api: Api, rename: Option<Rename>) -> JsonResponse {
        let _ = rename;
        JsonResponse { api }
    }

    /// Takes the next bytes and hands them on.
    pub fn push(&mut self, chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        let _ = self.api;
        out(chunk);
    }

    /// The answer ended: hands on what was held back.
    pub fn finish(&mut self, out: &mut impl FnMut(Bytes)) {
        let _ = out;
    }

    /// Token counts, if the answer told them.
    pub fn usage(&self) -> Option<Usage> {
        None
    }

    /// Why generation stopped, if that was said.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        None
    }
}
