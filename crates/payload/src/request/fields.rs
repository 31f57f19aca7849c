//! The names of fields, by API.

use crate::Api;
use crate::scan::Token;

/// A part of the prompt, and the order in which the parts stand in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Tools,
    System,
    /// A list of messages or items.
    Messages,
    /// A string, a list of strings, a list of token ids, or a list of such lists.
    Text,
    /// Messages or text: the Responses API's `input`.
    Either,
}

/// A member of the outermost object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Ignored,
    Model,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    CacheSalt,
    /// `n`, how many answers.
    Count,
    /// vLLM's generate API keeps its limits in an object.
    SamplingParams,
    /// Embeddings given in place of a prompt; not read.
    PromptEmbeds,
    Prompt(Section),
}

impl Field {
    pub(super) fn of(api: Api, key: Token<'_>) -> Field {
        let Some(name) = key.name() else {
            return Field::Ignored;
        };
        match &*name {
            b"model" => Field::Model,
            b"stream" => Field::Stream,
            b"stream_options" => Field::StreamOptions,
            b"max_tokens" => Field::MaxTokens,
            b"max_completion_tokens" => Field::MaxCompletionTokens,
            b"max_output_tokens" => Field::MaxOutputTokens,
            b"cache_salt" => Field::CacheSalt,
            b"n" => Field::Count,
            name => Field::of_api(api, name),
        }
    }

    fn of_api(api: Api, name: &[u8]) -> Field {
        match (api, name) {
            (Api::ChatCompletions | Api::Responses, b"tools" | b"functions")
            | (Api::AnthropicMessages | Api::AnthropicCountTokens, b"tools") => {
                Field::Prompt(Section::Tools)
            }
            (Api::AnthropicMessages | Api::AnthropicCountTokens, b"system")
            | (Api::Responses, b"instructions") => Field::Prompt(Section::System),
            (
                Api::ChatCompletions
                | Api::AnthropicMessages
                | Api::AnthropicCountTokens
                | Api::Embeddings,
                b"messages",
            )
            | (Api::Conversations, b"items") => Field::Prompt(Section::Messages),
            (Api::Responses, b"input") => Field::Prompt(Section::Either),
            (Api::Completions | Api::Images, b"prompt")
            | (Api::Embeddings, b"input")
            | (Api::VllmGenerate, b"token_ids")
            | (Api::SglangGenerate, b"input_ids" | b"text") => Field::Prompt(Section::Text),
            (Api::Completions, b"prompt_embeds") => Field::PromptEmbeds,
            (Api::VllmGenerate | Api::SglangGenerate, b"sampling_params") => Field::SamplingParams,
            _ => Field::Ignored,
        }
    }
}

/// A key below the outermost object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Key {
    #[default]
    Other,
    /// Holds a list of content blocks.
    Content,
    Text,
    Type,
    /// Anthropic's cache marker, which moves from message to message as a conversation grows.
    CacheControl,
    /// Holds an object that holds a medium.
    Holder,
    /// Anthropic's holder of a medium or of plain text.
    Source,
    /// Within a holder: the medium itself, inline or by address.
    Medium,
    /// In a content block: both a holder and a medium, depending on the API.
    HolderOrMedium,
    MaxTokens,
    IncludeUsage,
}

impl Key {
    pub(super) fn of(key: Token<'_>) -> Key {
        let Some(name) = key.name() else {
            return Key::Other;
        };
        match &*name {
            b"content" => Key::Content,
            b"text" => Key::Text,
            b"type" => Key::Type,
            b"cache_control" => Key::CacheControl,
            b"input_audio" | b"file" | b"image" | b"audio" | b"video" => Key::Holder,
            b"source" => Key::Source,
            b"url" | b"data" => Key::Medium,
            b"image_url" | b"video_url" | b"audio_url" | b"file_data" | b"file_url" => {
                Key::HolderOrMedium
            }
            b"max_tokens" | b"max_new_tokens" => Key::MaxTokens,
            b"include_usage" => Key::IncludeUsage,
            _ => Key::Other,
        }
    }
}
