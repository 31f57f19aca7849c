//! The prompt's spans.
//!
//! A message is one span of raw bytes: everything in it (role, content, tool calls, names) reaches
//! the chat template. Three things are treated apart, because hashing them with the rest would
//! spoil prefixes or estimates:
//!
//! - `cache_control` markers are cut out together with the comma that binds them, so that a message
//!   hashes the same with and without its marker;
//! - Anthropic's billing header, a system block that changes with every request, is cut out;
//! - images, sounds and files become spans of their own.

use std::ops::Range;

use super::fields::{Key, Section};
use crate::facts::{Facts, MAX_PROMPT_SPANS, PromptKind, PromptSpan};
use crate::scan::{Container, Scalar, Token};
use crate::{Api, BodyError};

/// Levels whose keys are remembered: content blocks within tool results within messages need nine.
const LEVELS: usize = 12;

/// How the text of Anthropic's billing system block begins.
const BILLING: &[u8] = b"x-anthropic-billing-header";

/// How a medium that is given inline begins.
const INLINE: &[u8] = b"data:";

/// The type of an Anthropic `source` that holds plain text.
const PLAIN: &[u8] = b"text";

#[derive(Debug)]
pub(super) struct Prompt {
    tools: Part,
    system: Part,
    body: Part,
    section: Section,
    keys: [Key; LEVELS],
    /// Bit of a level: set for containers that are messages, content blocks, or lists of them.
    blocks: u32,
    /// Bit of a level: set for arrays.
    arrays: u32,
    /// Where the last value or opening bracket ended.
    last_end: usize,
    /// Whether that was an opening bracket.
    last_open: bool,
    hole: Hole,
    /// Level at which an Anthropic `source` said that it holds plain text.
    plain_source: Option<usize>,
    /// Token ids in the list that is being read, and where it opened.
    ids: usize,
    ids_at: usize,
    ids_total: Option<usize>,
}

/// A member that is being cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    None,
    /// Its value is being read. What goes away starts at `from`; `first` when no member stands
    /// before it.
    Value {
        from: usize,
        depth: usize,
        first: bool,
    },
    /// It was the object's first member: what goes away ends at the next key.
    Comma {
        from: usize,
        depth: usize,
    },
}

/// The spans of one field.
#[derive(Debug, Default)]
struct Part {
    spans: Vec<PromptSpan>,
    /// Start and kind of the span that is open.
    open: Option<(usize, PromptKind)>,
    /// Whether the field held anything.
    filled: bool,
}

impl Part {
    fn start(&mut self, at: usize, kind: PromptKind) {
        self.open = Some((at, kind));
    }

    fn stop(&mut self, at: usize) {
        if let Some((start, kind)) = self.open.take() {
            self.push(start..at, kind);
        }
    }

    /// Leaves a range out of the open span.
    fn cut(&mut self, hole: Range<usize>) {
        if let Some((start, kind)) = self.open {
            self.push(start..hole.start, kind);
            self.open = Some((hole.end, kind));
        }
    }

    /// Records a span. Beyond the bound spans are joined to the last one, together with what stands
    /// between; the same beginning of a prompt is always treated in the same way.
    fn push(&mut self, range: Range<usize>, kind: PromptKind) {
        if range.is_empty() {
            return;
        }
        let full = self.spans.len() >= MAX_PROMPT_SPANS;
        match self.spans.last_mut() {
            Some(last) if full => {
                last.range.end = range.end;
                if last.kind == PromptKind::Media {
                    last.kind = kind;
                }
            }
            _ => self.spans.push(PromptSpan { range, kind }),
        }
    }

    /// Makes a range within the open span a span of its own.
    fn medium(&mut self, range: Range<usize>) {
        let Some((start, kind)) = self.open else {
            return;
        };
        self.push(start..range.start, kind);
        self.open = Some((range.end, kind));
        if self.spans.len() < MAX_PROMPT_SPANS {
            self.push(range, PromptKind::Media);
        }
    }
}

impl Prompt {
    pub(super) fn new() -> Prompt {
        Prompt {
            tools: Part::default(),
            system: Part::default(),
            body: Part::default(),
            section: Section::Text,
            keys: [Key::Other; LEVELS],
            blocks: 0,
            arrays: 0,
            last_end: 0,
            last_open: false,
            hole: Hole::None,
            plain_source: None,
            ids: 0,
            ids_at: 0,
            ids_total: None,
        }
    }

    /// A field begins; what an earlier field of the same part held is forgotten.
    pub(super) fn begin(&mut self, section: Section) {
        self.section = section;
        *self.part() = Part::default();
        self.hole = Hole::None;
        if !matches!(section, Section::Tools | Section::System) {
            self.ids_total = None;
        }
    }

    fn part(&mut self) -> &mut Part {
        match self.section {
            Section::Tools => &mut self.tools,
            Section::System => &mut self.system,
            Section::Messages | Section::Text | Section::Either => &mut self.body,
        }
    }

    fn holds_messages(&self) -> bool {
        matches!(self.section, Section::Messages | Section::Either)
    }

    fn is_block(&self, depth: usize) -> bool {
        depth < LEVELS && self.blocks >> depth & 1 == 1
    }

    fn is_array(&self, depth: usize) -> bool {
        depth < LEVELS && self.arrays >> depth & 1 == 1
    }

    fn key_at(&self, depth: usize) -> Key {
        self.keys.get(depth).copied().unwrap_or_default()
    }

    pub(super) fn key(&mut self, at: usize, depth: usize, token: Token<'_>) {
        if depth >= LEVELS {
            return;
        }
        if let Hole::Comma { from, depth: level } = self.hole
            && level == depth
        {
            self.part().cut(from..at);
            self.hole = Hole::None;
        }
        let key = Key::of(token);
        self.keys[depth] = key;
        if key == Key::CacheControl && self.is_block(depth) {
            let first = self.last_open;
            let from = if first { at } else { self.last_end };
            self.hole = Hole::Value { from, depth, first };
        }
    }

    pub(super) fn open(&mut self, at: usize, depth: usize, container: Container) {
        self.last_end = at + 1;
        self.last_open = true;
        if depth >= LEVELS {
            return;
        }
        let in_list = depth == 2 || self.is_array(depth - 1);
        let is_array = container == Container::Array;
        let is_block = match depth {
            2 => is_array,
            _ if in_list => self.is_block(depth - 1),
            _ => is_array && self.is_block(depth - 1) && self.key_at(depth - 1) == Key::Content,
        };
        set(&mut self.arrays, depth, is_array);
        set(&mut self.blocks, depth, is_block);
        self.keys[depth] = Key::Other;
        if self.plain_source == Some(depth) {
            self.plain_source = None;
        }
        match depth {
            2 => self.open_field(at, is_array),
            3 => self.open_element(at, is_array),
            _ => {}
        }
    }

    fn open_field(&mut self, at: usize, is_array: bool) {
        match self.section {
            Section::Tools => self.tools.start(at, PromptKind::Tools),
            Section::System => self.system.start(at, PromptKind::System),
            Section::Messages => {}
            Section::Either => self.body.filled |= is_array,
            Section::Text => {
                self.ids = 0;
                self.ids_at = at;
            }
        }
    }

    fn open_element(&mut self, at: usize, is_array: bool) {
        self.part().filled = true;
        match self.section {
            Section::Tools | Section::System => {}
            Section::Messages | Section::Either => self.body.start(at, PromptKind::Message),
            Section::Text if is_array => {
                self.ids = 0;
                self.ids_at = at;
            }
            Section::Text => self.body.start(at, PromptKind::Text),
        }
    }

    pub(super) fn close(&mut self, end: usize, depth: usize) {
        if let Hole::Comma { from, depth: level } = self.hole
            && level == depth
        {
            self.part().cut(from..end - 1);
            self.hole = Hole::None;
        }
        match (self.section, depth) {
            (Section::Tools | Section::System, 2) | (Section::Messages | Section::Either, 3) => {
                self.part().stop(end);
            }
            (Section::Text, 2 | 3) if self.is_array(depth) => self.close_ids(end),
            (Section::Text, 3) => self.body.stop(end),
            _ => {}
        }
        self.value_end(end, depth - 1);
    }

    fn close_ids(&mut self, end: usize) {
        if self.ids > 0 {
            self.body.push(self.ids_at..end, PromptKind::TokenIds);
            *self.ids_total.get_or_insert(0) += self.ids;
            self.ids = 0;
        }
    }

    fn value_end(&mut self, end: usize, depth: usize) {
        self.last_end = end;
        self.last_open = false;
        if let Hole::Value {
            from,
            depth: level,
            first,
        } = self.hole
            && level == depth
        {
            if first {
                self.hole = Hole::Comma { from, depth };
            } else {
                self.hole = Hole::None;
                self.part().cut(from..end);
            }
        }
    }

    pub(super) fn string(&mut self, depth: usize) -> usize {
        match self.key_at(depth) {
            Key::Text if self.section == Section::System => BILLING.len(),
            Key::Type => PLAIN.len() + 1,
            Key::Medium | Key::HolderOrMedium => INLINE.len(),
            _ => 0,
        }
    }

    pub(super) fn string_end(&mut self, span: Range<usize>, depth: usize, text: Token<'_>) {
        let inner = span.start + 1..span.end - 1;
        match depth {
            1 => self.string_field(inner, text),
            2 => self.string_element(&span, inner),
            _ => self.string_within(&span, inner, depth, text),
        }
        self.value_end(span.end, depth);
    }

    /// The whole field is one string.
    fn string_field(&mut self, inner: Range<usize>, text: Token<'_>) {
        let kind = match self.section {
            Section::System => PromptKind::System,
            Section::Text | Section::Either => PromptKind::Text,
            Section::Tools | Section::Messages => return,
        };
        let filled = !text.is_empty() || self.section == Section::Either;
        let part = self.part();
        part.filled = filled;
        part.push(inner, kind);
    }

    fn string_element(&mut self, span: &Range<usize>, inner: Range<usize>) {
        self.part().filled = true;
        match self.section {
            Section::Text => self.body.push(inner, PromptKind::Text),
            Section::Messages | Section::Either => {
                self.body.push(span.clone(), PromptKind::Message);
            }
            Section::Tools | Section::System => {}
        }
    }

    fn string_within(
        &mut self,
        span: &Range<usize>,
        inner: Range<usize>,
        depth: usize,
        text: Token<'_>,
    ) {
        let key = self.key_at(depth);
        if self.section == Section::System {
            if key == Key::Text && self.is_block(depth) && text.raw().starts_with(BILLING) {
                self.system.cut(span.clone());
            }
            return;
        }
        if !self.holds_messages() {
            return;
        }
        let parent = self.key_at(depth - 1);
        if key == Key::Type && parent == Key::Source && text.raw() == PLAIN {
            self.plain_source = Some(depth);
        }
        let in_holder = match parent {
            Key::Source => self.plain_source != Some(depth),
            Key::Holder | Key::HolderOrMedium => true,
            _ => false,
        };
        let held = in_holder && self.is_block(depth - 1);
        let is_medium = match key {
            Key::Medium => held || text.raw().starts_with(INLINE),
            Key::HolderOrMedium => held || self.is_block(depth) || text.raw().starts_with(INLINE),
            _ => false,
        };
        if is_medium {
            self.body.medium(inner);
        }
    }

    pub(super) fn scalar(&mut self, end: usize, depth: usize, scalar: Scalar) {
        if depth > 1 {
            self.part().filled = true;
        }
        if self.section == Section::Text && scalar == Scalar::Number && matches!(depth, 2 | 3) {
            self.ids += 1;
        }
        self.value_end(end, depth);
    }

    /// Whether the API's required part of the prompt is there.
    pub(super) fn check(&self, api: Api) -> Result<(), BodyError> {
        if self.body.filled {
            return Ok(());
        }
        let (field, want) = match api {
            Api::ChatCompletions | Api::AnthropicMessages | Api::AnthropicCountTokens => {
                ("messages", "it must be a list of at least one message")
            }
            Api::Completions => ("prompt", "it must be a text, a list of texts or token ids"),
            Api::Responses => ("input", "it must be a text or a list of items"),
            Api::Conversations => ("items", "it must be a list of at least one item"),
            Api::Embeddings => ("input", "it must be a text, a list of texts or token ids"),
            Api::Images => ("prompt", "it must be a text"),
            Api::VllmGenerate => ("token_ids", "it must be a list of token ids"),
            Api::SglangGenerate => ("input_ids", "it must be a list of token ids"),
            Api::Rerank
            | Api::Audio
            | Api::Tokenize
            | Api::Models
            | Api::Other
            | Api::VllmGrpcGenerate
            | Api::VllmGrpcEmbed => return Ok(()),
        };
        Err(BodyError::MissingField { field, want })
    }

    pub(super) fn finish(self, facts: &mut Facts) {
        let mut spans = self.tools.spans;
        if spans.is_empty() && self.system.spans.is_empty() {
            spans = self.body.spans;
        } else {
            spans.extend(self.system.spans);
            spans.extend(self.body.spans);
        }
        let (mut bytes, mut media) = (0, 0);
        for span in &spans {
            match span.kind {
                PromptKind::Media => media += 1,
                _ => bytes += span.range.len(),
            }
        }
        facts.prompt = spans;
        facts.prompt_bytes = bytes;
        facts.media = media;
        facts.token_ids = self.ids_total;
    }
}

fn set(bits: &mut u32, index: usize, on: bool) {
    *bits = *bits & !(1 << index) | u32::from(on) << index;
}
