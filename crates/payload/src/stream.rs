//! The reader of streamed answers (server-sent events, WHATWG HTML section 9.2).

mod event;
mod lines;

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::patch::quoted;
use crate::usage::Counts;
use crate::{Api, FinishReason, Usage};
use event::{Event, Outcome};
use lines::Lines;

/// Most bytes of one event that are held back. The rest of a longer event passes unread.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

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
    /// Events with data that this chunk completed.
    pub events: u32,
    /// Those of them that carried generated content.
    pub content_events: u32,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With the API's end marker or an error event, or the API has no end marker.
    Complete,
    /// After a whole event, but without the end marker.
    NoEndMarker,
    /// In the middle of an event. It was not handed on, unless its beginning already had been.
    MidEvent,
}

/// Follows a streamed answer on its way to the client.
///
/// Only whole events are handed on, so that at any time an error event may follow; comments, which
/// servers send to keep connections alive, are handed on at once. Unless something is renamed or
/// hidden, events are handed on without being copied, and as many at a time as a chunk completes.
#[derive(Debug)]
pub struct StreamReader {
    api: Api,
    /// The new name as a JSON string.
    rename: Option<Bytes>,
    hide_usage: bool,
    /// Whether the last event that was left out ended in a CR whose LF may still come.
    hid_cr: bool,
    /// The beginning of an event whose end has not come yet.
    carry: BytesMut,
    lines: Lines,
    event: Event,
    /// Changes to the events that are about to be handed on, in order.
    edits: Vec<Edit>,
    /// Whether the current event grew too long and is passing unread.
    passing: bool,
    counts: Counts,
    finish_reason: Option<FinishReason>,
    saw_content: bool,
    saw_end: bool,
    saw_error: bool,
}

/// A change to the bytes of an event.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    /// Whether the new name takes the place; otherwise nothing does.
    rename: bool,
}

impl StreamReader {
    /// A reader for the answer to a request of `api`.
    pub fn new(api: Api, rename: Option<Rename>) -> StreamReader {
        StreamReader {
            api,
            rename: rename.map(|rename| Bytes::from(quoted(&rename.to))),
            hide_usage: false,
            hid_cr: false,
            carry: BytesMut::new(),
            lines: Lines::default(),
            event: Event::new(),
            edits: Vec::new(),
            passing: false,
            counts: Counts::default(),
            finish_reason: None,
            saw_content: false,
            saw_end: false,
            saw_error: false,
        }
    }

    /// Leaves out the events that only report usage: for a client that did not ask for them, when
    /// the gateway did ([`crate::Facts::usage_edit`]). Some clients fail on their empty `choices`.
    #[must_use]
    pub fn hiding_usage(mut self) -> StreamReader {
        self.hide_usage = true;
        self
    }

    /// Takes the next bytes and hands on whole events.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut impl FnMut(Bytes)) -> Progress {
        let mut progress = Progress::default();
        if self.carry.is_empty() {
            let complete = self.walk(&chunk, &mut progress);
            let whole = chunk.split_to(complete);
            self.carry.extend_from_slice(&chunk);
            self.emit(whole, out);
        } else {
            let mut held = std::mem::take(&mut self.carry);
            held.extend_from_slice(&chunk);
            let complete = self.walk(&held, &mut progress);
            let whole = held.split_to(complete).freeze();
            self.carry = held;
            self.emit(whole, out);
        }
        if self.carry.len() > MAX_EVENT_BYTES {
            self.passing = true;
            self.lines.forwarded(self.carry.len());
            out(self.carry.split().freeze());
        }
        progress
    }

    /// Reads the lines of `held`, which begins where the current event does. Returns how many bytes
    /// may be handed on.
    fn walk(&mut self, held: &[u8], progress: &mut Progress) -> usize {
        // Where the current event begins.
        let mut start = 0;
        if std::mem::take(&mut self.hid_cr) && held.first() == Some(&b'\n') {
            self.edits.push(Edit {
                range: 0..1,
                rename: false,
            });
        }
        while let Some(line) = self.lines.next(held) {
            let content = &held[line.content.clone()];
            if self.event.is_empty() && !self.passing {
                // An LF before the line belongs to the line end before it, not to this event.
                start = line.content.start;
            }
            if line.is_blank {
                if self.passing {
                    self.event.clear();
                    self.passing = false;
                } else {
                    self.dispatch(start..line.next, progress);
                }
                start = line.next;
            } else if !self.passing {
                self.event.line(content, line.content.start - start);
                if self.event.is_empty() {
                    start = line.next;
                }
            }
        }
        // Nor is such an LF held back for itself.
        if self.event.is_empty() && !self.passing {
            start = start.max(self.lines.started());
        }
        let complete = if self.passing { held.len() } else { start };
        self.lines.forwarded(complete);
        complete
    }

    /// An event is complete; it stands at `range` of the bytes that are held.
    fn dispatch(&mut self, range: Range<usize>, progress: &mut Progress) {
        let outcome = self.event.outcome();
        if outcome != Outcome::Nothing {
            progress.events += 1;
        }
        self.saw_error |= self.event.is_error();
        match outcome {
            Outcome::Nothing | Outcome::Unreadable => {}
            Outcome::Done => self.saw_end = true,
            Outcome::Object => self.absorb(range, progress),
        }
        self.event.clear();
    }

    fn absorb(&mut self, range: Range<usize>, progress: &mut Progress) {
        let reply = self.event.reply();
        self.counts.merge(&reply.counts);
        self.finish_reason = reply.finish_reason.or(self.finish_reason);
        self.saw_end |= reply.is_end();
        self.saw_error |= reply.is_error();
        if reply.has_content() {
            progress.content_events += 1;
            progress.first_content |= !self.saw_content;
            self.saw_content = true;
        }
        if self.hide_usage && reply.is_usage_only() {
            self.edits.push(Edit {
                range,
                rename: false,
            });
            self.hid_cr = self.lines.is_after_cr();
        } else if self.rename.is_some() {
            let shift = |span: &Range<usize>| span.start + range.start..span.end + range.start;
            let edits = reply.models.iter().map(|span| Edit {
                range: shift(span),
                rename: true,
            });
            self.edits.extend(edits);
        }
    }

    /// Hands on whole events, with the edits made to them.
    fn emit(&mut self, events: Bytes, out: &mut impl FnMut(Bytes)) {
        let events = if self.edits.is_empty() {
            events
        } else {
            self.edited(&events)
        };
        if !events.is_empty() {
            out(events);
        }
    }

    /// Applies the edits. The events are small, and one buffer is better than many small frames.
    fn edited(&mut self, events: &Bytes) -> Bytes {
        let name = self.rename.as_deref().unwrap_or_default();
        let mut edited = BytesMut::with_capacity(events.len() + self.edits.len() * name.len());
        let mut at = 0;
        for edit in self.edits.drain(..) {
            edited.extend_from_slice(&events[at..edit.range.start]);
            if edit.rename {
                edited.extend_from_slice(name);
            }
            at = edit.range.end;
        }
        edited.extend_from_slice(&events[at..]);
        edited.freeze()
    }

    /// The stream ended in good order: hands on what was held back.
    ///
    /// The last event may lack the empty line that completes it, which makes clients lose it. If it
    /// can be read, it is handed on with the line. If not, it is dropped, because a client could not
    /// read it either and an error event may have to follow.
    pub fn finish(&mut self, out: &mut impl FnMut(Bytes)) -> Ended {
        let marked = self.wants_end_marker();
        let held = std::mem::take(&mut self.carry).freeze();
        let mut broken = self.passing;
        if self.passing && marked {
            self.abandon(out);
        } else if !held.is_empty() {
            broken = self.finish_event(held, marked, out);
        }
        match (broken, marked && !self.saw_end && !self.saw_error) {
            (_, false) => Ended::Complete,
            (true, true) => Ended::MidEvent,
            (false, true) => Ended::NoEndMarker,
        }
    }

    /// Reads an event that has no end. Returns whether it was dropped.
    fn finish_event(&mut self, held: Bytes, marked: bool, out: &mut impl FnMut(Bytes)) -> bool {
        let last_line = self.lines.rest(&held);
        let is_open = !last_line.is_empty();
        self.event.line(&held[last_line.clone()], last_line.start);
        if marked && self.event.outcome() == Outcome::Unreadable {
            self.saw_error |= self.event.is_error();
            return true;
        }
        let ending: &[u8] = match (marked, self.event.is_empty()) {
            (true, false) => b"\n\n",
            (true, true) if is_open => b"\n",
            _ => b"",
        };
        self.dispatch(0..held.len(), &mut Progress::default());
        self.emit(held, out);
        emit_line_end(ending, out);
        false
    }

    /// The stream broke: drops what was held back. If a part of an event has already been handed on,
    /// that event is brought to an end, so that another may follow.
    pub fn abandon(&mut self, out: &mut impl FnMut(Bytes)) {
        self.carry.clear();
        if std::mem::take(&mut self.passing) {
            emit_line_end(b"\n\n", out);
        }
    }

    /// Token counts seen so far.
    pub fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }

    /// Whether the API's end marker went by: `[DONE]`, `message_stop`, or `response.completed`,
    /// `.incomplete` or `.failed`.
    pub fn saw_end(&self) -> bool {
        self.saw_end
    }

    /// Whether an error event went by.
    pub fn saw_error(&self) -> bool {
        self.saw_error
    }

    /// Whether generated content went by.
    pub fn saw_content(&self) -> bool {
        self.saw_content
    }

    /// Whether streams of this API end in a marker, so that one without it was cut off.
    pub fn wants_end_marker(&self) -> bool {
        match self.api {
            Api::ChatCompletions | Api::Completions | Api::Responses | Api::AnthropicMessages => {
                true
            }
            Api::Conversations
            | Api::Embeddings
            | Api::Rerank
            | Api::Images
            | Api::Audio
            | Api::Tokenize
            | Api::AnthropicCountTokens
            | Api::VllmGenerate
            | Api::SglangGenerate
            | Api::VllmGrpcGenerate
            | Api::VllmGrpcEmbed
            | Api::Models
            | Api::Other => false,
        }
    }

    /// Why generation stopped, if that was said.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish_reason
    }
}

fn emit_line_end(ending: &'static [u8], out: &mut impl FnMut(Bytes)) {
    if !ending.is_empty() {
        out(Bytes::from_static(ending));
    }
}

#[cfg(test)]
mod tests;
