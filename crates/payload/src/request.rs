//! Listens to the scan of a JSON request and notes the fields that matter.

mod fields;
mod prompt;

use std::ops::Range;
use std::sync::Arc;

use crate::facts::UsageEdit;
use crate::name::{MAX_NAME_BYTES, Name, is_true};
use crate::scan::{Container, Scalar, Sink, Token, parse_count};
use crate::{Api, BodyError, Facts};
use fields::{Field, Key};
use prompt::Prompt;

/// Bytes kept of values that are small when they are right.
const MAX_SMALL: usize = 32;

/// Everything learnt from the body so far.
#[derive(Debug)]
pub(crate) struct Request {
    api: Api,
    /// The member of the outermost object that is being read.
    field: Field,
    /// The last key at depth 2, for options given as objects.
    option: Key,
    /// Where the outermost object opens.
    object_at: usize,
    model: Name,
    model_span: Option<Range<usize>>,
    cache_salt: Name,
    stream: bool,
    limits: Limits,
    n: Option<u64>,
    stream_options: StreamOptions,
    prompt_embeds: bool,
    /// Whether fields that the API requires may be missing.
    unchecked: bool,
    prompt: Prompt,
}

/// The fields that limit the answer's length, by field because the last of equals wins.
#[derive(Debug, Default)]
struct Limits {
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    sampling: Option<u64>,
}

impl Limits {
    fn get(&self) -> Option<u64> {
        self.max_completion_tokens
            .or(self.max_output_tokens)
            .or(self.max_tokens)
            .or(self.sampling)
    }
}

/// What `stream_options` says, and where it would have to be changed to ask for usage.
#[derive(Debug, Default)]
enum StreamOptions {
    #[default]
    Absent,
    /// Not an object: the span of the value.
    Scalar(Range<usize>),
    /// An object opening just before this offset.
    Object {
        inside: usize,
        empty: bool,
        include_usage: Option<(Range<usize>, bool)>,
    },
}

impl Request {
    pub(crate) fn new(api: Api) -> Request {
        Request {
            api,
            field: Field::Ignored,
            option: Key::Other,
            object_at: 0,
            model: Name::Absent,
            model_span: None,
            cache_salt: Name::Absent,
            stream: false,
            limits: Limits::default(),
            n: None,
            stream_options: StreamOptions::Absent,
            prompt_embeds: false,
            unchecked: false,
            prompt: Prompt::new(),
        }
    }

    pub(crate) fn leave_unchecked(&mut self) {
        self.unchecked = true;
    }

    /// The model, as far as it is known.
    pub(crate) fn model(&self) -> Option<&Arc<str>> {
        self.model.get()
    }

    /// The facts, after the whole body of `bytes` bytes.
    pub(crate) fn finish(self, bytes: usize) -> Result<Facts, BodyError> {
        let model = self.model.finish()?;
        let cache_salt = self.cache_salt.finish()?;
        if !self.prompt_embeds && !self.unchecked {
            self.prompt.check(self.api)?;
        }
        let include_usage = self.stream_options.include_usage();
        // Other APIs have no such option, and vLLM refuses it without a stream.
        let has_option = matches!(self.api, Api::ChatCompletions | Api::Completions);
        let may_ask = has_option && self.stream && !include_usage;
        let usage_edit = may_ask.then(|| self.stream_options.edit(self.object_at));
        let mut facts = Facts {
            model,
            model_span: self.model_span,
            stream: self.stream,
            max_tokens: self.limits.get(),
            include_usage,
            n: self.n,
            cache_salt,
            bytes,
            usage_edit,
            ..Facts::default()
        };
        self.prompt.finish(&mut facts);
        Ok(facts)
    }

    /// Forgets what an earlier member of the same name said: the last one wins, as in CPython, Go
    /// and JavaScript.
    fn forget(&mut self, field: Field) {
        match field {
            Field::Model => {
                self.model = Name::Absent;
                self.model_span = None;
            }
            Field::CacheSalt => self.cache_salt = Name::Absent,
            Field::Stream => self.stream = false,
            Field::StreamOptions => self.stream_options = StreamOptions::Absent,
            Field::Count => self.n = None,
            Field::MaxTokens => self.limits.max_tokens = None,
            Field::MaxCompletionTokens => self.limits.max_completion_tokens = None,
            Field::MaxOutputTokens => self.limits.max_output_tokens = None,
            Field::SamplingParams => self.limits.sampling = None,
            Field::PromptEmbeds => self.prompt_embeds = false,
            Field::Prompt(section) => self.prompt.begin(section),
            Field::Ignored => {}
        }
    }

    fn count(&mut self, count: Option<u64>) {
        match self.field {
            Field::Count => self.n = count,
            Field::MaxTokens => self.limits.max_tokens = count,
            Field::MaxCompletionTokens => self.limits.max_completion_tokens = count,
            Field::MaxOutputTokens => self.limits.max_output_tokens = count,
            _ => {}
        }
    }

    /// A string or scalar that is a member of an option object.
    fn option_value(&mut self, span: Range<usize>, text: &[u8]) {
        match (self.field, self.option) {
            (Field::SamplingParams, Key::MaxTokens) => self.limits.sampling = parse_count(text),
            (Field::StreamOptions, Key::IncludeUsage) => {
                if let StreamOptions::Object { include_usage, .. } = &mut self.stream_options {
                    *include_usage = Some((span, is_true(text)));
                }
            }
            _ => {}
        }
    }
}

impl StreamOptions {
    fn include_usage(&self) -> bool {
        matches!(
            self,
            StreamOptions::Object {
                include_usage: Some((_, true)),
                ..
            }
        )
    }

    /// The edit that makes the request ask for usage.
    fn edit(self, object_at: usize) -> UsageEdit {
        let (range, text) = match self {
            StreamOptions::Object {
                include_usage: Some((span, _)),
                ..
            } => (span, "true"),
            StreamOptions::Object {
                inside,
                empty: true,
                ..
            } => (inside..inside, r#""include_usage":true"#),
            StreamOptions::Object { inside, .. } => (inside..inside, r#""include_usage":true,"#),
            StreamOptions::Scalar(span) => (span, r#"{"include_usage":true}"#),
            StreamOptions::Absent => {
                let inside = object_at + 1;
                (
                    inside..inside,
                    r#""stream_options":{"include_usage":true},"#,
                )
            }
        };
        UsageEdit { range, text }
    }
}

impl Sink for Request {
    fn key(&mut self, at: usize, depth: usize, key: Token<'_>) {
        if depth == 1 {
            self.field = Field::of(self.api, key);
            self.forget(self.field);
            return;
        }
        match self.field {
            Field::Prompt(_) => self.prompt.key(at, depth, key),
            Field::StreamOptions | Field::SamplingParams if depth == 2 => {
                self.option = Key::of(key);
                if let StreamOptions::Object { empty, .. } = &mut self.stream_options {
                    *empty = false;
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, at: usize, depth: usize, container: Container) {
        if depth == 1 {
            self.object_at = at;
            return;
        }
        match self.field {
            Field::Prompt(_) => self.prompt.open(at, depth, container),
            Field::StreamOptions if depth == 2 => {
                self.stream_options = match container {
                    Container::Object => StreamOptions::Object {
                        inside: at + 1,
                        empty: true,
                        include_usage: None,
                    },
                    Container::Array => StreamOptions::Scalar(at..at),
                };
            }
            Field::PromptEmbeds if depth == 2 => self.prompt_embeds = true,
            _ => {}
        }
    }

    fn close(&mut self, end: usize, depth: usize) {
        match (self.field, &mut self.stream_options) {
            (Field::Prompt(_), _) if depth > 1 => self.prompt.close(end, depth),
            (Field::StreamOptions, StreamOptions::Scalar(span)) if depth == 2 => span.end = end,
            _ => {}
        }
    }

    fn string(&mut self, _at: usize, depth: usize) -> usize {
        match self.field {
            Field::Prompt(_) => self.prompt.string(depth),
            Field::Ignored | Field::PromptEmbeds => 0,
            Field::Model | Field::CacheSalt if depth == 1 => MAX_NAME_BYTES,
            _ => MAX_SMALL,
        }
    }

    fn string_end(&mut self, span: Range<usize>, depth: usize, text: Token<'_>) {
        match self.field {
            Field::Prompt(_) => self.prompt.string_end(span, depth, text),
            _ if depth == 2 => self.option_value(span, text.raw()),
            _ if depth > 2 => {}
            Field::Model => {
                self.model = Name::read(text, "model");
                self.model_span = Some(span);
            }
            Field::CacheSalt => self.cache_salt = Name::read(text, "cache_salt"),
            Field::Stream => self.stream = is_true(text.raw()),
            Field::StreamOptions => self.stream_options = StreamOptions::Scalar(span),
            Field::PromptEmbeds => self.prompt_embeds = !text.is_empty(),
            _ => self.count(parse_count(text.raw())),
        }
    }

    fn scalar(&mut self, span: Range<usize>, depth: usize, scalar: Scalar, text: &[u8]) {
        match self.field {
            Field::Prompt(_) => self.prompt.scalar(span.end, depth, scalar),
            _ if depth == 2 => self.option_value(span, text),
            _ if depth > 2 => {}
            Field::Model => {
                self.model_span = Some(span);
                if scalar != Scalar::Null {
                    self.model = Name::read(Token::plain(text), "model");
                }
            }
            Field::Stream => self.stream = is_true(text),
            Field::StreamOptions => self.stream_options = StreamOptions::Scalar(span),
            _ => self.count(parse_count(text)),
        }
    }
}
