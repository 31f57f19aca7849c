//! What a request body told.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What part of the prompt a span holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PromptKind {
    /// Tool or function definitions.
    Tools,
    /// System prompt or instructions that stand outside of the messages.
    System,
    /// A conversation message or input item.
    Message,
    /// Plain text: a completion prompt or an embedding input.
    Text,
    /// A JSON array of token ids.
    TokenIds,
    /// An image, sound or file, inline or by address. Counted at a flat rate.
    Media,
}

/// A byte range of the body that takes part in the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptSpan {
    /// Byte offsets into the (decoded) body.
    pub range: Range<usize>,
    /// What the bytes are.
    pub kind: PromptKind,
}

/// Most spans that are recorded for one part of the prompt. Beyond it spans are joined.
pub const MAX_PROMPT_SPANS: usize = 16_384;

/// Tokens that an image, sound or file is taken to cost: an image of 640 x 360 pixels at one token
/// for 1,024 pixels, which is what llm-d's estimate assumes too.
pub const MEDIA_TOKENS: u64 = 225;

/// Bytes of prompt text that are taken to make one token.
pub const BYTES_PER_TOKEN: u64 = 4;

/// The edit that makes a request ask for token usage in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEdit {
    /// Bytes to replace.
    pub range: Range<usize>,
    /// What to put there.
    pub text: &'static str,
}

/// What the gateway knows of a request after one scan of its body.
#[derive(Clone, Default, PartialEq)]
pub struct Facts {
    /// The model named by the request; numbers and booleans are taken as written. `None` when
    /// missing, empty, null, or a list or object.
    pub model: Option<Arc<str>>,
    /// Where the model stands: the JSON token with its quotes, or the bytes of a multipart value.
    /// Set also when the value was empty or null.
    pub model_span: Option<Range<usize>>,
    /// Whether the model stands in a multipart form, so that a patch must not quote it.
    pub model_in_form: bool,
    /// Whether a streamed answer is asked for.
    pub stream: bool,
    /// Upper limit on generated tokens, if the request sets one.
    pub max_tokens: Option<u64>,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// How many answers are asked for (`n`).
    pub n: Option<u64>,
    /// Tenant salt for prefix caches. Never to be logged.
    pub cache_salt: Option<Arc<str>>,
    /// The prompt's byte ranges in prompt order: tools, system, then the rest.
    pub prompt: Vec<PromptSpan>,
    /// Bytes of the prompt, media not counted.
    pub prompt_bytes: usize,
    /// How many token ids the prompt holds, when it is given as token ids.
    pub token_ids: Option<usize>,
    /// How many images, sounds or files the prompt holds.
    pub media: usize,
    /// Length of the scanned JSON body; 0 for other bodies.
    pub bytes: usize,
    /// How to make the request ask for usage: for streams of the APIs that have the option, when
    /// they do not ask already.
    pub usage_edit: Option<UsageEdit>,
}

impl Facts {
    /// A guess of the prompt's length in tokens: token ids counted, text at [`BYTES_PER_TOKEN`],
    /// media at [`MEDIA_TOKENS`]. For APIs whose prompt is not read apart (rerank, tokenize, speech)
    /// the whole body counts as text.
    pub fn prompt_tokens_estimate(&self) -> u64 {
        if self.prompt.is_empty() {
            return self.bytes as u64 / BYTES_PER_TOKEN;
        }
        let ids = self.token_ids.unwrap_or(0) as u64;
        let is_text = |kind| !matches!(kind, PromptKind::Media | PromptKind::TokenIds);
        let text: usize = self
            .prompt
            .iter()
            .filter(|s| is_text(s.kind))
            .map(|s| s.range.len())
            .sum();
        ids + (text as u64).div_ceil(BYTES_PER_TOKEN) + self.media as u64 * MEDIA_TOKENS
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("model", &self.model)
            .field("model_span", &self.model_span)
            .field("model_in_form", &self.model_in_form)
            .field("stream", &self.stream)
            .field("max_tokens", &self.max_tokens)
            .field("include_usage", &self.include_usage)
            .field("n", &self.n)
            .field(
                "cache_salt",
                &self.cache_salt.as_ref().map(|_| "(redacted)"),
            )
            .field("prompt_spans", &self.prompt.len())
            .field("prompt_bytes", &self.prompt_bytes)
            .field("token_ids", &self.token_ids)
            .field("media", &self.media)
            .field("bytes", &self.bytes)
            .field("usage_edit", &self.usage_edit)
            .finish()
    }
}
