//! The reader of streamed answers (server-sent events).

use std::sync::Arc;

use bytes::Bytes;

use crate::{Api, FinishReason, Usage};

/// The model name that answers are to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Written to the top-level `model`, to `response.model` and to `message.model`.
    pub to: Arc<str>,
}

/// What one chunk brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Whether the first generated content of the answer was in this chunk. True at most once.
    pub first_content: bool,
    /// Complete events in this chunk.
    pub events: u32,
    /// Events of this chunk that carried generated content.
    pub content_events: u32,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With the API's end marker, or the API has none.
    Complete,
    /// After a whole event, but without the end marker.
    NoEndMarker,
    /// In the middle of an event.
    MidEvent,
}

/// Follows a streamed answer on its way to the client.
#[derive(Debug)]
pub struct StreamReader {
    api: Api,
}

impl StreamReader {
    /// A reader for the answer to a request of `api`.
    pub fn new(api: Api, rename: Option<Rename>) -> StreamReader {
        let _ = rename;
        StreamReader { api }
    }

    /// Takes the next bytes and hands on whole events.
    pub fn push(&mut self, chunk: Bytes, out: &mut impl FnMut(Bytes)) -> Progress {
        out(chunk);
        Progress::default()
    }

    /// The stream ended: hands on what was held back.
    pub fn finish(&mut self, out: &mut impl FnMut(Bytes)) -> Ended {
        let _ = out;
        Ended::Complete
    }

    /// Token counts seen so far.
    pub fn usage(&self) -> Option<Usage> {
        None
    }

    /// Whether the API's end marker went by.
    pub fn saw_end(&self) -> bool {
        false
    }

    /// Whether an error event went by.
    pub fn saw_error(&self) -> bool {
        false
    }

    /// Whether streams of this API end in a marker.
    pub fn wants_end_marker(&self) -> bool {
        self.api.may_stream()
    }

    /// Why generation stopped, if that was said.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        None
    }
}
