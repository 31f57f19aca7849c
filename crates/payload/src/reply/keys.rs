//! The keys of answers that matter.

use crate::scan::Token;

/// A key, or the place of one in the path to a value. Keys of one meaning are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Key {
    #[default]
    Other,
    /// An element of an array.
    Item,
    Audio,
    CacheCreation,
    CacheRead,
    CachedTokens,
    Choices,
    /// Tool calls, or the single call of the older API.
    Calls,
    /// Text of an answer, visible or not.
    Content,
    Delta,
    Error,
    FinishReason,
    /// Why a response is incomplete.
    Incomplete,
    Message,
    Model,
    OutputTokens,
    /// What Anthropic's deltas hold beside text.
    Piece,
    PromptDetails,
    PromptTokens,
    Reason,
    Response,
    Text,
    TokenIds,
    Type,
    Usage,
}

impl Key {
    pub(super) fn of(key: Token<'_>) -> Key {
        let Some(name) = key.name() else {
            return Key::Other;
        };
        match &*name {
            b"audio" => Key::Audio,
            b"cache_creation_input_tokens" => Key::CacheCreation,
            b"cache_read_input_tokens" => Key::CacheRead,
            b"cached_tokens" => Key::CachedTokens,
            b"choices" => Key::Choices,
            b"tool_calls" | b"function_call" => Key::Calls,
            b"content" | b"reasoning_content" | b"reasoning" | b"refusal" => Key::Content,
            b"delta" => Key::Delta,
            b"error" => Key::Error,
            b"finish_reason" | b"stop_reason" => Key::FinishReason,
            b"incomplete_details" => Key::Incomplete,
            b"message" => Key::Message,
            b"model" => Key::Model,
            b"completion_tokens" | b"output_tokens" => Key::OutputTokens,
            b"thinking" | b"partial_json" => Key::Piece,
            b"prompt_tokens_details" | b"input_tokens_details" => Key::PromptDetails,
            b"prompt_tokens" | b"input_tokens" => Key::PromptTokens,
            b"reason" => Key::Reason,
            b"response" => Key::Response,
            b"text" => Key::Text,
            b"token_ids" => Key::TokenIds,
            b"type" => Key::Type,
            b"usage" => Key::Usage,
            _ => Key::Other,
        }
    }
}
