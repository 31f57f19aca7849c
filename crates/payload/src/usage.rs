//! Token usage as model servers report it.

/// Whether a field was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum FieldState {
    /// Not mentioned.
    #[default]
    Absent,
    /// Mentioned, as `null`.
    Null,
    /// Mentioned with a value.
    Given,
}

/// Token counts of one answer.
///
/// A stream may report counts several times, and they only grow; the largest are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the whole prompt. OpenAI's `prompt_tokens` and `input_tokens` are that; from
    /// Anthropic's `input_tokens` the cache's part is missing, and is added here.
    pub prompt_tokens: Option<u64>,
    /// Prompt tokens that came out of the prefix cache.
    pub cached_tokens: Option<u64>,
    /// Generated tokens (`completion_tokens`, `output_tokens`).
    pub output_tokens: Option<u64>,
    /// Whether the server mentioned cached tokens. vLLM leaves the field out or writes `null` both
    /// when it was not told to report them and when there were none.
    pub cached: FieldState,
}

/// The counts as they stand in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) prompt: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) details: Option<u64>,
    /// Anthropic's parts of the prompt that `input_tokens` does not count.
    pub(crate) cache_read: Option<u64>,
    pub(crate) cache_creation: Option<u64>,
    pub(crate) cached: FieldState,
}

impl Counts {
    /// Takes over what a later report says.
    pub(crate) fn merge(&mut self, later: &Counts) {
        // `None` is smaller than any count.
        self.prompt = self.prompt.max(later.prompt);
        self.output = self.output.max(later.output);
        self.details = self.details.max(later.details);
        self.cache_read = self.cache_read.max(later.cache_read);
        self.cache_creation = self.cache_creation.max(later.cache_creation);
        self.cached = self.cached.max(later.cached);
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let apart = self
            .cache_read
            .unwrap_or(0)
            .saturating_add(self.cache_creation.unwrap_or(0));
        let usage = Usage {
            prompt_tokens: self.prompt.map(|tokens| tokens.saturating_add(apart)),
            cached_tokens: self.details.or(self.cache_read),
            output_tokens: self.output,
            cached: self.cached,
        };
        (usage != Usage::default()).then_some(usage)
    }
}

/// Why generation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// End of text or a stop sequence.
    Stop,
    /// The token limit.
    Length,
    /// The model calls a tool.
    ToolCalls,
    /// A content filter or refusal.
    ContentFilter,
    /// Aborted or failed in the model server.
    Error,
    /// A reason this crate does not know.
    Other,
}

impl FinishReason {
    /// Reads OpenAI's `finish_reason` and `incomplete_details.reason`, and Anthropic's
    /// `stop_reason`.
    pub(crate) fn parse(reason: &[u8]) -> FinishReason {
        match reason {
            b"stop" | b"end_turn" | b"stop_sequence" => FinishReason::Stop,
            b"length" | b"max_tokens" | b"max_output_tokens" => FinishReason::Length,
            b"tool_calls" | b"function_call" | b"tool_use" => FinishReason::ToolCalls,
            b"content_filter" | b"refusal" => FinishReason::ContentFilter,
            b"abort" | b"error" => FinishReason::Error,
            _ => FinishReason::Other,
        }
    }
}
