//! Which bodies are read, and how strictly: the parsers of an `EndpointPickerConfig`.
//!
//! A gateway on its own tells the API from the path ([`Api::of`]) and passes on what it does not know. An endpoint
//! picker is configured with parsers instead, each of which claims path endings and refuses what does not fit.

use http::Method;

use crate::api::{GRPC_EMBED, GRPC_GENERATE};
use crate::{Api, BodyError};

/// A parser of request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parser {
    /// No parser is configured: the API follows from the path, and other bodies pass unread.
    #[default]
    Lenient,
    /// OpenAI's APIs; the model is required.
    OpenAi,
    /// Anthropic's Messages API; the model is required.
    Anthropic,
    /// vLLM's `/inference/v1/generate`.
    VllmHttp,
    /// SGLang's `/generate`.
    SglangHttp,
    /// vLLM's gRPC API.
    VllmGrpc,
    /// Takes every path and reads nothing.
    Passthrough,
    /// Takes every path and wants nothing but the model: a body-based router's.
    Routing,
}

/// A parser found for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The parser.
    pub parser: Parser,
    /// How it reads the body.
    pub api: Api,
}

/// No configured parser takes the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no parser is configured for this path")]
pub struct NoParser;

impl Parser {
    /// The parser of a plugin type, such as `openai-parser`.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Parser> {
        Some(match kind {
            "openai-parser" => Parser::OpenAi,
            "anthropic-parser" => Parser::Anthropic,
            "vllmhttp-parser" => Parser::VllmHttp,
            "sglanghttp-parser" => Parser::SglangHttp,
            "vllmgrpc-parser" => Parser::VllmGrpc,
            "passthrough-parser" => Parser::Passthrough,
            _ => return None,
        })
    }

    /// Whether a request without a model is an error.
    #[must_use]
    pub fn requires_model(self) -> bool {
        matches!(self, Parser::OpenAi | Parser::Anthropic)
    }

    /// Whether bodies are looked into.
    #[must_use]
    pub fn reads(self) -> bool {
        self != Parser::Passthrough
    }

    fn claims(self) -> &'static [(&'static str, Api)] {
        match self {
            Parser::Lenient | Parser::Passthrough | Parser::Routing => &[],
            Parser::OpenAi => &[
                ("/chat/completions", Api::ChatCompletions),
                ("/chat/completions/render", Api::ChatCompletions),
                ("/completions", Api::Completions),
                ("/completions/render", Api::Completions),
                ("/embeddings", Api::Embeddings),
                ("/responses", Api::Responses),
                ("/conversations", Api::Conversations),
                ("/images/generations", Api::Images),
            ],
            Parser::Anthropic => &[
                ("/messages", Api::AnthropicMessages),
                ("/messages/count_tokens", Api::AnthropicCountTokens),
            ],
            Parser::VllmHttp => &[("/inference/v1/generate", Api::VllmGenerate)],
            Parser::SglangHttp => &[("/generate", Api::SglangGenerate)],
            Parser::VllmGrpc => &[
                (GRPC_GENERATE, Api::VllmGrpcGenerate),
                (GRPC_EMBED, Api::VllmGrpcEmbed),
            ],
        }
    }
}

/// The parsers of one picker, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsers {
    list: Vec<Parser>,
    /// Whether a sole parser takes the paths that nobody claims, as in the Inference Extension's picker.
    sole_takes_all: bool,
}

impl Default for Parsers {
    /// What llm-d's router uses when nothing is configured.
    fn default() -> Self {
        Self::new(
            vec![
                Parser::OpenAi,
                Parser::Anthropic,
                Parser::VllmHttp,
                Parser::Passthrough,
            ],
            false,
        )
    }
}

impl Parsers {
    /// Parsers in order of preference. With `sole_takes_all` a single parser also takes paths it does not claim.
    #[must_use]
    pub fn new(list: Vec<Parser>, sole_takes_all: bool) -> Self {
        Self {
            list,
            sole_takes_all,
        }
    }

    /// The parser for a request: the longest claimed ending of `path` (query and closing slash do not count) wins, among
    /// equals the earlier parser.
    ///
    /// # Errors
    /// [`NoParser`] when no parser claims the path and none takes the rest.
    pub fn resolve(&self, path: &str) -> Result<Resolved, NoParser> {
        if self.list == [Parser::Routing] {
            return Ok(Resolved {
                parser: Parser::Routing,
                api: Api::of(&Method::POST, path),
            });
        }
        let path = path
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        let mut best: Option<(usize, Resolved)> = None;
        for &parser in &self.list {
            for &(ending, api) in parser.claims() {
                if path.ends_with(ending) && best.is_none_or(|(length, _)| length < ending.len()) {
                    best = Some((ending.len(), Resolved { parser, api }));
                }
            }
        }
        if let Some((_, resolved)) = best {
            return Ok(resolved);
        }
        self.rest().ok_or(NoParser)
    }

    /// The only parser of a body-based router.
    #[must_use]
    pub fn routing() -> Self {
        Self::new(vec![Parser::Routing], false)
    }

    fn rest(&self) -> Option<Resolved> {
        if self.list.contains(&Parser::Passthrough) {
            return Some(Resolved {
                parser: Parser::Passthrough,
                api: Api::Other,
            });
        }
        match self.list.as_slice() {
            [Parser::OpenAi] if self.sole_takes_all => Some(Resolved {
                parser: Parser::OpenAi,
                api: Api::Completions,
            }),
            _ => None,
        }
    }
}

impl Resolved {
    /// The parser of a gateway that has none configured.
    #[must_use]
    pub fn lenient(method: &Method, path: &str) -> Resolved {
        Resolved {
            parser: Parser::Lenient,
            api: Api::of(method, path),
        }
    }
}

/// How the reference picker words an unreadable body, where its tools and tests depend on the words.
impl BodyError {
    /// The words for a request of `api`; `None` where ours serve as well.
    #[must_use]
    pub fn reference_words(&self, api: Api) -> Option<String> {
        match self {
            BodyError::Invalid { .. } | BodyError::NotAnObject | BodyError::TooDeep { .. } => {
                Some(format!("error unmarshaling request bodyMap: {self}"))
            }
            BodyError::MissingField { .. } => required_words(api).map(str::to_owned),
            BodyError::Grpc { .. } => match api {
                Api::VllmGrpcEmbed => {
                    Some("parsing gRPC payload for Embed: not able to parse payload".to_owned())
                }
                _ => {
                    Some("parsing gRPC payload for Generate: not able to parse payload".to_owned())
                }
            },
            _ => None,
        }
    }
}

fn required_words(api: Api) -> Option<&'static str> {
    Some(match api {
        Api::Completions => "invalid completions request: must have prompt field",
        Api::ChatCompletions => "invalid chat completions request: must have valid messages field",
        Api::Responses => "invalid responses request: must have input field",
        Api::Conversations => "invalid conversations request: must have items field",
        Api::Embeddings => "invalid embeddings request: must have input field",
        Api::Images => "invalid images generations request: must have prompt field",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_claim_wins_and_the_rest_passes_through() {
        let usual = Parsers::default();
        for (path, parser, api) in [
            ("/v1/chat/completions", Parser::OpenAi, Api::ChatCompletions),
            ("/v1/completions?x=1", Parser::OpenAi, Api::Completions),
            ("/v1/completions/render", Parser::OpenAi, Api::Completions),
            ("/v1/messages", Parser::Anthropic, Api::AnthropicMessages),
            (
                "/inference/v1/generate/",
                Parser::VllmHttp,
                Api::VllmGenerate,
            ),
            ("/v1/rerank", Parser::Passthrough, Api::Other),
        ] {
            assert_eq!(usual.resolve(path), Ok(Resolved { parser, api }), "{path}");
        }
    }

    #[test]
    fn a_sole_parser_takes_all_paths_only_where_asked() {
        let path = "/v1/rerank";
        let strict = Parsers::new(vec![Parser::OpenAi], false);
        assert_eq!(strict.resolve(path), Err(NoParser));
        let sole = Parsers::new(vec![Parser::OpenAi], true);
        assert_eq!(sole.resolve(path).unwrap().api, Api::Completions);
        let grpc = Parsers::new(vec![Parser::VllmGrpc], true);
        assert_eq!(grpc.resolve(path), Err(NoParser));
    }

    #[test]
    fn sglang_and_vllm_generate_are_told_apart_by_the_longer_ending() {
        let both = Parsers::new(vec![Parser::SglangHttp, Parser::VllmHttp], false);
        assert_eq!(
            both.resolve("/inference/v1/generate").unwrap().parser,
            Parser::VllmHttp
        );
        assert_eq!(
            both.resolve("/generate").unwrap().parser,
            Parser::SglangHttp
        );
    }
}
