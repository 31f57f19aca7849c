//! What the generator reads out of unstreamed bodies. Answers are small here, so plain parsing.

use payload::{FieldState, Usage};
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    usage: Option<Counts>,
}

/// OpenAI's and Anthropic's names together; only one set is ever there.
#[derive(Deserialize)]
struct Counts {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

/// The usage of an unstreamed answer.
pub(crate) fn usage(body: &[u8]) -> Option<Usage> {
    let counts = serde_json::from_slice::<Answer>(body).ok()?.usage?;
    let details = counts.prompt_tokens_details;
    let cached = counts
        .cache_read_input_tokens
        .or(details.and_then(|details| details.cached_tokens));
    // Anthropic counts cached tokens beside `input_tokens`, OpenAI within `prompt_tokens`.
    let beside = counts.cache_read_input_tokens.unwrap_or(0)
        + counts.cache_creation_input_tokens.unwrap_or(0);
    Some(Usage {
        prompt_tokens: counts.prompt_tokens.map(|tokens| tokens + beside),
        cached_tokens: cached,
        output_tokens: counts.completion_tokens,
        cached: if cached.is_some() {
            FieldState::Given
        } else {
            FieldState::Absent
        },
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorBody {
    Wrapped {
        error: Message,
    },
    Plain(Message),
    /// FastAPI's shape, as vLLM answers for unknown paths.
    Detail {
        detail: String,
    },
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// The message of an error body in any of the usual shapes.
pub(crate) fn error_message(body: &[u8]) -> Option<String> {
    match serde_json::from_slice(body).ok()? {
        ErrorBody::Wrapped { error } | ErrorBody::Plain(error) => Some(error.message),
        ErrorBody::Detail { detail } => Some(detail),
    }
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// The ids of a `/v1/models` answer.
pub(crate) fn model_ids(body: &[u8]) -> Option<Vec<String>> {
    let list = serde_json::from_slice::<ModelList>(body).ok()?;
    Some(list.data.into_iter().map(|model| model.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_both_families() {
        let openai = br#"{"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":8}}}"#;
        let usage = usage(openai).unwrap();
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.cached_tokens,
                usage.output_tokens
            ),
            (Some(10), Some(8), Some(3))
        );
        let anthropic = br#"{"usage":{"input_tokens":10,"output_tokens":3,"cache_read_input_tokens":5,"cache_creation_input_tokens":1}}"#;
        let usage = super::usage(anthropic).unwrap();
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.cached_tokens,
                usage.output_tokens
            ),
            (Some(16), Some(5), Some(3))
        );
        let silent =
            br#"{"usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":null}}"#;
        assert_eq!(super::usage(silent).unwrap().cached_tokens, None);
        assert!(super::usage(b"{}").is_none());
    }

    #[test]
    fn messages_of_all_shapes() {
        let bodies: [&[u8]; 3] = [
            br#"{"error":{"message":"m","code":1}}"#,
            br#"{"object":"error","message":"m"}"#,
            br#"{"detail":"m"}"#,
        ];
        for body in bodies {
            assert_eq!(error_message(body).as_deref(), Some("m"));
        }
        assert_eq!(error_message(b"<html>"), None);
    }

    #[test]
    fn model_ids_in_order() {
        assert_eq!(
            model_ids(br#"{"data":[{"id":"a"},{"id":"b"}]}"#).unwrap(),
            ["a", "b"]
        );
    }
}
