//! Which LLM API a request speaks, told from its method and path.

use http::Method;

/// An LLM API, by the shape of its request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI `POST /v1/completions`.
    Completions,
    /// OpenAI `POST /v1/responses`.
    Responses,
    /// OpenAI `POST /v1/conversations`.
    Conversations,
    /// OpenAI `POST /v1/embeddings`.
    Embeddings,
    /// vLLM and Jina/Cohere style `rerank`, `score`, `pooling` and `classify`.
    Rerank,
    /// OpenAI `POST /v1/images/generations`, `edits` and `variations`.
    Images,
    /// OpenAI `POST /v1/audio/transcriptions`, `translations` and `speech`.
    Audio,
    /// vLLM `POST /tokenize` and `/detokenize`.
    Tokenize,
    /// Anthropic `POST /v1/messages`.
    AnthropicMessages,
    /// Anthropic `POST /v1/messages/count_tokens`.
    AnthropicCountTokens,
    /// vLLM `POST /inference/v1/generate`.
    VllmGenerate,
    /// SGLang's native `POST /generate`.
    SglangGenerate,
    /// gRPC `vllm.grpc.engine.VllmEngine/Generate`.
    VllmGrpcGenerate,
    /// gRPC `vllm.grpc.engine.VllmEngine/Embed`.
    VllmGrpcEmbed,
    /// `GET /v1/models` and `GET /v1/models/{id}`.
    Models,
    /// Anything else.
    Other,
}

/// The family whose error shape and stream conventions an API follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `{"error": {...}}`, streams end in `data: [DONE]`.
    OpenAi,
    /// `{"type": "error", "error": {...}}`, streams are typed events.
    Anthropic,
}

/// Path endings and what they mean. The longest ending wins; endings match whole segments.
const ENDINGS: &[(&str, Api)] = &[
    ("/chat/completions", Api::ChatCompletions),
    ("/completions", Api::Completions),
    ("/responses", Api::Responses),
    ("/conversations", Api::Conversations),
    ("/embeddings", Api::Embeddings),
    ("/rerank", Api::Rerank),
    ("/score", Api::Rerank),
    ("/pooling", Api::Rerank),
    ("/classify", Api::Rerank),
    ("/images/generations", Api::Images),
    ("/images/edits", Api::Images),
    ("/images/variations", Api::Images),
    ("/audio/transcriptions", Api::Audio),
    ("/audio/translations", Api::Audio),
    ("/audio/speech", Api::Audio),
    ("/tokenize", Api::Tokenize),
    ("/detokenize", Api::Tokenize),
    ("/messages/count_tokens", Api::AnthropicCountTokens),
    ("/messages", Api::AnthropicMessages),
    ("/inference/v1/generate", Api::VllmGenerate),
    (GRPC_GENERATE, Api::VllmGrpcGenerate),
    (GRPC_EMBED, Api::VllmGrpcEmbed),
];

pub(crate) const GRPC_GENERATE: &str = "/vllm.grpc.engine.VllmEngine/Generate";
pub(crate) const GRPC_EMBED: &str = "/vllm.grpc.engine.VllmEngine/Embed";

impl Api {
    /// Tells the API from the request's method and path (a query, if present, is ignored).
    ///
    /// Any prefix before the known ending is allowed, so gateways mounted below a path work.
    /// vLLM's `.../render` endpoints read the same body as the endpoint they render.
    pub fn of(method: &Method, path: &str) -> Api {
        let path = path
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        if method == Method::GET || method == Method::HEAD {
            let listed = path.ends_with("/models") || path.contains("/v1/models/");
            return if listed { Api::Models } else { Api::Other };
        }
        if method != Method::POST {
            return Api::Other;
        }
        let path = path.strip_suffix("/render").unwrap_or(path);
        ENDINGS
            .iter()
            .filter(|(ending, _)| path.ends_with(ending))
            .max_by_key(|(ending, _)| ending.len())
            .map_or(Api::Other, |(_, api)| *api)
    }

    /// The family whose error bodies a client of this API understands.
    pub fn dialect(self) -> Dialect {
        match self {
            Api::AnthropicMessages | Api::AnthropicCountTokens => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }

    /// Whether a request of this API can ask for a streamed answer.
    pub fn may_stream(self) -> bool {
        match self {
            Api::ChatCompletions
            | Api::Completions
            | Api::Responses
            | Api::Audio
            | Api::Images
            | Api::AnthropicMessages
            | Api::VllmGenerate
            | Api::SglangGenerate
            | Api::VllmGrpcGenerate => true,
            Api::Conversations
            | Api::Embeddings
            | Api::Rerank
            | Api::Tokenize
            | Api::AnthropicCountTokens
            | Api::VllmGrpcEmbed
            | Api::Models
            | Api::Other => false,
        }
    }

    /// Whether bodies of this API are gRPC frames.
    pub fn is_grpc(self) -> bool {
        matches!(self, Api::VllmGrpcGenerate | Api::VllmGrpcEmbed)
    }

    /// Whether requests of this API name their model in the body.
    ///
    /// `Other` says no: whether such a body is read depends on whether a route asks for the model.
    pub fn reads_body(self) -> bool {
        !matches!(self, Api::Models | Api::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_by_path() {
        for (path, api) in [
            ("/v1/chat/completions", Api::ChatCompletions),
            ("/v1/chat/completions/", Api::ChatCompletions),
            ("/v1/chat/completions?api-version=1", Api::ChatCompletions),
            (
                "/openai/deployments/x/chat/completions",
                Api::ChatCompletions,
            ),
            ("/v1/chat/completions/render", Api::ChatCompletions),
            ("/v1/completions", Api::Completions),
            ("/v1/completions/render", Api::Completions),
            ("/v1/responses", Api::Responses),
            ("/v1/responses/resp_1/cancel", Api::Other),
            ("/v1/conversations", Api::Conversations),
            ("/v1/conversations/c/items", Api::Other),
            ("/v1/embeddings", Api::Embeddings),
            ("/rerank", Api::Rerank),
            ("/v2/rerank", Api::Rerank),
            ("/score", Api::Rerank),
            ("/pooling", Api::Rerank),
            ("/classify", Api::Rerank),
            ("/v1/images/generations", Api::Images),
            ("/v1/images/edits", Api::Images),
            ("/v1/audio/transcriptions", Api::Audio),
            ("/v1/audio/speech", Api::Audio),
            ("/tokenize", Api::Tokenize),
            ("/detokenize", Api::Tokenize),
            ("/v1/messages", Api::AnthropicMessages),
            ("/v1/messages/count_tokens", Api::AnthropicCountTokens),
            ("/inference/v1/generate", Api::VllmGenerate),
            ("/generate", Api::Other),
            ("/notcompletions", Api::Other),
            ("/v1/models", Api::Other),
            ("/render", Api::Other),
            ("/", Api::Other),
            ("", Api::Other),
        ] {
            assert_eq!(Api::of(&Method::POST, path), api, "{path}");
        }
        for (path, api) in [
            ("/v1/models", Api::Models),
            ("/v1/models/org/name", Api::Models),
            ("/v1/models/org%2Fname", Api::Models),
            ("/v1/chat/completions", Api::Other),
            ("/v1/modelsx", Api::Other),
        ] {
            assert_eq!(Api::of(&Method::GET, path), api, "{path}");
            assert_eq!(Api::of(&Method::HEAD, path), api, "{path}");
        }
        assert_eq!(Api::of(&Method::DELETE, "/v1/models/m"), Api::Other);
        assert_eq!(Api::of(&Method::PUT, "/v1/chat/completions"), Api::Other);
    }

    #[test]
    fn dialects() {
        assert_eq!(Api::AnthropicCountTokens.dialect(), Dialect::Anthropic);
        assert_eq!(Api::Other.dialect(), Dialect::OpenAi);
    }
}
