//! Listens to the scan of an answer, or of one event of a streamed answer.
//!
//! All APIs are read by the same rules: their shapes do not contradict each other, and model servers
//! mix them. What a value means is told from the keys that lead to it, so generated text that looks
//! like a field is never taken for one.

mod keys;

use std::ops::Range;

use smallvec::SmallVec;

use crate::scan::{Container, Scalar, Sink, Token, parse_count};
use crate::usage::{Counts, FieldState, FinishReason};
use keys::Key;

/// Levels whose keys are remembered; nothing of interest lies deeper.
const LEVELS: usize = 7;

/// Bytes kept of an event type, a reason or a count given as text.
const SHORT: usize = 64;

/// Spans of `model` that one object may have: three places, and duplicates.
type Spans = SmallVec<[Range<usize>; 4]>;

/// What an object told.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    keys: [Key; LEVELS],
    /// The spans of `model`, `response.model` and `message.model` where they are strings.
    pub(crate) models: Spans,
    /// Where the last of these strings began, while it has not ended.
    pub(crate) model_open: Option<usize>,
    pub(crate) counts: Counts,
    kind: Kind,
    /// Generated content in a choice.
    content: bool,
    /// Something in a top-level `delta`, which is content if the event's type says so.
    delta: bool,
    error: bool,
    pub(crate) finish_reason: Option<FinishReason>,
    /// Whether `choices` was there, and whether anything was in it.
    choices: bool,
    choice: bool,
}

/// What the member `type` says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Other,
    /// A piece of generated content.
    Delta,
    /// The last event of the stream.
    End,
    /// The last event, after a failure.
    Failed,
    Error,
}

impl Kind {
    fn parse(kind: &[u8]) -> Kind {
        match kind {
            b"message_stop" | b"response.completed" | b"response.incomplete" => Kind::End,
            b"response.failed" => Kind::Failed,
            b"error" => Kind::Error,
            b"content_block_delta" => Kind::Delta,
            kind if kind.ends_with(b".delta") => Kind::Delta,
            _ => Kind::Other,
        }
    }
}

impl Reply {
    /// Makes ready for another object.
    pub(crate) fn reset(&mut self) {
        *self = Reply::default();
    }

    /// Whether the object holds newly generated content.
    pub(crate) fn has_content(&self) -> bool {
        self.content || (self.delta && self.kind == Kind::Delta)
    }

    /// Whether the object is a stream's last event.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self.kind, Kind::End | Kind::Failed)
    }

    /// Whether the object reports an error.
    pub(crate) fn is_error(&self) -> bool {
        self.error || matches!(self.kind, Kind::Failed | Kind::Error)
    }

    /// Whether the object is what servers send for `stream_options.include_usage`: counts and an
    /// empty list of choices.
    pub(crate) fn is_usage_only(&self) -> bool {
        self.choices && !self.choice && self.counts != Counts::default()
    }

    /// The keys that lead to a value at `depth`; `None` when it is too deep to matter.
    #[inline]
    fn path(&self, depth: usize) -> Option<&[Key]> {
        self.keys.get(1..=depth)
    }

    /// Reads a count, or `None` where the answer says null, into its place in `usage`, wherever that
    /// may stand.
    fn count(&mut self, depth: usize, count: Option<u64>) {
        let path = match self.keys.get(1..=depth) {
            Some([Key::Usage, path @ ..]) => path,
            Some([Key::Response | Key::Message, Key::Usage, path @ ..]) => path,
            _ => return,
        };
        let counts = &mut self.counts;
        let slot = match path {
            [Key::PromptTokens] => &mut counts.prompt,
            [Key::OutputTokens] => &mut counts.output,
            [Key::CacheCreation] => &mut counts.cache_creation,
            [Key::CacheRead] => &mut counts.cache_read,
            [Key::PromptDetails, Key::CachedTokens] => &mut counts.details,
            [Key::PromptDetails] => {
                counts.cached = counts.cached.max(FieldState::Null);
                return;
            }
            _ => return,
        };
        *slot = count.or(*slot);
        if matches!(path, [Key::CacheRead] | [_, Key::CachedTokens]) {
            let state = if count.is_some() {
                FieldState::Given
            } else {
                FieldState::Null
            };
            counts.cached = counts.cached.max(state);
        }
    }

    fn is_model(path: &[Key]) -> bool {
        matches!(
            path,
            [Key::Model] | [Key::Response | Key::Message, Key::Model]
        )
    }

    fn text(&mut self, depth: usize, text: Token<'_>) {
        let Some(path) = self.path(depth) else { return };
        match path {
            [Key::Type] => self.kind = Kind::parse(text.raw()),
            [Key::Error] => self.error = true,
            [Key::FinishReason]
            | [Key::Delta | Key::Message, Key::FinishReason]
            | [Key::Choices, Key::Item, Key::FinishReason]
            | [Key::Incomplete, Key::Reason]
            | [Key::Response, Key::Incomplete, Key::Reason] => {
                self.finish_reason = Some(FinishReason::parse(text.raw()));
            }
            [Key::Delta] | [Key::Delta, Key::Text | Key::Piece] => self.delta |= !text.is_empty(),
            [Key::Choices, Key::Item, Key::Text]
            | [Key::Choices, Key::Item, Key::Delta, Key::Content]
            | [Key::Choices, Key::Item, Key::Delta, Key::Audio, _] => {
                self.content |= !text.is_empty();
            }
            _ => self.count(depth, parse_count(text.raw())),
        }
    }
}

impl Sink for Reply {
    fn key(&mut self, _at: usize, depth: usize, key: Token<'_>) {
        if let Some(slot) = self.keys.get_mut(depth) {
            *slot = Key::of(key);
        }
    }

    fn open(&mut self, _at: usize, depth: usize, container: Container) {
        let is_array = container == Container::Array;
        if let Some(path) = self.path(depth - 1) {
            match path {
                [Key::Error] => self.error = true,
                [Key::Choices] => self.choices = true,
                [Key::Choices, Key::Item] => self.choice = true,
                [Key::Choices, Key::Item, Key::Delta, Key::Calls, Key::Item]
                | [Key::Choices, Key::Item, Key::Delta, Key::Content, Key::Item] => {
                    self.content = true;
                }
                [Key::Choices, Key::Item, Key::Delta, Key::Calls] if !is_array => {
                    self.content = true;
                }
                _ => {}
            }
        }
        if let Some(slot) = self.keys.get_mut(depth) {
            *slot = if is_array { Key::Item } else { Key::Other };
        }
    }

    fn close(&mut self, _end: usize, _depth: usize) {}

    fn string(&mut self, at: usize, depth: usize) -> usize {
        let Some(path) = self.path(depth) else {
            return 0;
        };
        if Self::is_model(path) {
            self.model_open = Some(at);
        }
        SHORT
    }

    fn string_end(&mut self, span: Range<usize>, depth: usize, text: Token<'_>) {
        if self.model_open.take().is_some() {
            self.models.push(span);
        } else {
            self.text(depth, text);
        }
    }

    fn scalar(&mut self, _span: Range<usize>, depth: usize, scalar: Scalar, text: &[u8]) {
        match (scalar, self.path(depth)) {
            (Scalar::Null, _) => self.count(depth, None),
            (Scalar::Number, Some([Key::Choices, Key::Item, Key::TokenIds, Key::Item])) => {
                self.content = true;
            }
            (Scalar::Number, _) => self.count(depth, parse_count(text)),
            _ => {}
        }
    }
}
