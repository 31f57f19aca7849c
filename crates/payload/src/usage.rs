//! Token usage as model servers report it.

/// Whether a field was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt (`prompt_tokens`, `input_tokens`).
    pub prompt_tokens: Option<u64>,
    /// Prompt tokens that came out of the prefix cache.
    pub cached_tokens: Option<u64>,
    /// Generated tokens (`completion_tokens`, `output_tokens`).
    pub output_tokens: Option<u64>,
    /// Whether the server mentioned cached tokens: vLLM gives `null` when there were none, and
    /// leaves the field out when it was not told to report them.
    pub cached: FieldState,
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
    /// A content filter.
    ContentFilter,
    /// Aborted or failed in the model server.
    Error,
    /// A reason this crate does not know.
    Other,
}
