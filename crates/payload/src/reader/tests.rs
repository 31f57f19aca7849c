//! Field by field; the prompt's spans and random documents have files of their own.

mod prompt;
mod random;

use http::HeaderMap;

use super::*;
use crate::name::MAX_NAME_BYTES;
use crate::{PromptKind, PromptSpan};

fn read_chunks(api: Api, body: &[u8], chunk: usize) -> Result<Facts, BodyError> {
    let mut reader = Reader::new(api, &HeaderMap::new());
    for piece in body.chunks(chunk) {
        reader.feed(piece)?;
    }
    reader.finish()
}

fn try_read(api: Api, body: &str) -> Result<Facts, BodyError> {
    let whole = read_chunks(api, body.as_bytes(), body.len().max(1));
    for chunk in [1, 2, 3, 5, 16, 61] {
        assert_eq!(
            read_chunks(api, body.as_bytes(), chunk),
            whole,
            "chunks of {chunk}: {body}"
        );
    }
    whole
}

fn read(api: Api, body: &str) -> Facts {
    try_read(api, body).unwrap()
}

/// The prompt's spans as text.
fn spans(api: Api, body: &str) -> Vec<(PromptKind, String)> {
    let text = |span: &PromptSpan| (span.kind, body[span.range.clone()].to_owned());
    read(api, body).prompt.iter().map(text).collect()
}

const TOOLS: PromptKind = PromptKind::Tools;
const SYSTEM: PromptKind = PromptKind::System;
const MESSAGE: PromptKind = PromptKind::Message;
const TEXT: PromptKind = PromptKind::Text;
const IDS: PromptKind = PromptKind::TokenIds;
const MEDIA: PromptKind = PromptKind::Media;

#[test]
fn the_model() {
    for (value, model) in [
        (r#""org/model-7b""#, Some("org/model-7b")),
        (r#""a\"b\\\u0063\ud83d\ude00""#, Some("a\"b\\c😀")),
        (r#""""#, None),
        ("null", None),
        ("5", Some("5")),
        ("1000000", Some("1000000")),
        ("18446744073709551617", Some("18446744073709551617")),
        ("true", Some("true")),
        ("[\"m\"]", None),
        ("{\"model\":\"m\"}", None),
        ("{\"model\":{\"model\":\"m\"}}", None),
        ("[[\"m\",1]]", None),
    ] {
        let body = format!("{{\"prompt\":\"p\", \"model\" : {value} }}");
        let facts = read(Api::Completions, &body);
        assert_eq!(facts.model.as_deref(), model, "{value}");
        let is_container = value.starts_with(['[', '{']);
        let span = facts.model_span.map(|span| &body[span]);
        assert_eq!(span, (!is_container).then_some(value));
    }
    for body in [r#"{"prompt":"p"}"#, r#"{"prompt":"p","x":{"model":"m"}}"#] {
        let facts = read(Api::Completions, body);
        assert_eq!((facts.model, facts.model_span), (None, None));
    }
}

#[test]
fn the_last_of_equal_fields_wins() {
    let body = r#"{"model":"a","prompt":["first"],"stream":true,"max_tokens":5,"n":2,"cache_salt":"s","stream_options":{"include_usage":true},
        "model":"b","prompt":"second","stream":false,"max_tokens":null,"n":1,"cache_salt":null,"stream_options":{}}"#;
    let facts = read(Api::Completions, body);
    assert_eq!(facts.model.as_deref(), Some("b"));
    assert_eq!(
        (facts.stream, facts.max_tokens, facts.n),
        (false, None, Some(1))
    );
    assert_eq!((facts.cache_salt, facts.include_usage), (None, false));
    assert_eq!(spans(Api::Completions, body), [(TEXT, "second".into())]);
    // However the name is spelt, and whatever came before.
    let body = r#"{"model":"a","\u006dodel":"b","prompt":"p"}"#;
    assert_eq!(read(Api::Completions, body).model.as_deref(), Some("b"));
    let body = r#"{"model":"a","model":null,"prompt":[1,2],"prompt":"p"}"#;
    let facts = read(Api::Completions, body);
    assert_eq!((facts.model, facts.token_ids), (None, None));
}

#[test]
fn names_that_cannot_be_kept() {
    let long = "m".repeat(MAX_NAME_BYTES + 1);
    for field in ["model", "cache_salt"] {
        let body = format!("{{\"prompt\":\"p\",\"{field}\":\"{long}\"}}");
        let error = BodyError::TooLong {
            field,
            limit: MAX_NAME_BYTES,
        };
        assert_eq!(try_read(Api::Completions, &body), Err(error));
        let body = format!("{{\"prompt\":\"p\",\"{field}\":\"\\ud83d\"}}");
        assert_eq!(
            try_read(Api::Completions, &body),
            Err(BodyError::NotText { field })
        );
    }
    let body = b"{\"prompt\":\"p\",\"model\":\"\xff\"}";
    let error = BodyError::NotText { field: "model" };
    assert_eq!(read_chunks(Api::Completions, body, 4), Err(error));
    // In text that is only stepped over, they are the model server's business.
    let body = b"{\"prompt\":\"\xff \\ud83d\",\"model\":\"m\"}";
    assert!(read_chunks(Api::Completions, body, 4).is_ok());
}

#[test]
fn options() {
    let facts = read(
        Api::ChatCompletions,
        r#"{"messages":[{}],"stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true,"x":{"include_usage":false}},
            "max_tokens":10,"max_completion_tokens":20,"n":3,"cache_salt":"tenant","logit_bias":{"stream":false,"n":7}}"#,
    );
    assert!(facts.stream && facts.include_usage);
    assert_eq!((facts.max_tokens, facts.n), (Some(20), Some(3)));
    assert_eq!(facts.cache_salt.as_deref(), Some("tenant"));
    assert!(!format!("{facts:?}").contains("tenant"));
    for (api, body, max_tokens) in [
        (
            Api::Completions,
            r#"{"prompt":"p","max_tokens":"16"}"#,
            Some(16),
        ),
        (
            Api::Completions,
            r#"{"prompt":"p","max_tokens":16.0}"#,
            Some(16),
        ),
        (Api::Completions, r#"{"prompt":"p","max_tokens":-1}"#, None),
        (
            Api::Completions,
            r#"{"prompt":"p","x":{"max_tokens":16}}"#,
            None,
        ),
        (
            Api::Responses,
            r#"{"input":"p","max_output_tokens":7}"#,
            Some(7),
        ),
        (
            Api::VllmGenerate,
            r#"{"token_ids":[1],"sampling_params":{"max_tokens":9,"x":{"max_tokens":1}}}"#,
            Some(9),
        ),
        (
            Api::VllmGenerate,
            r#"{"token_ids":[1],"sampling_params":{"max_tokens":9},"sampling_params":{}}"#,
            None,
        ),
    ] {
        assert_eq!(read(api, body).max_tokens, max_tokens, "{body}");
    }
    for (value, stream) in [
        ("true", true),
        ("1", true),
        ("\"true\"", true),
        ("false", false),
        ("0", false),
        ("null", false),
        ("\"no\"", false),
        ("[true]", false),
    ] {
        let body = format!("{{\"prompt\":\"p\",\"stream\":{value}}}");
        assert_eq!(read(Api::Completions, &body).stream, stream, "{value}");
    }
}

/// The required field that a body lacks.
fn missing(api: Api, body: &str) -> Option<&'static str> {
    match try_read(api, body) {
        Err(BodyError::MissingField { field, .. }) => Some(field),
        other => {
            assert!(other.is_ok(), "{body}: {other:?}");
            None
        }
    }
}

#[test]
fn required_fields() {
    for (api, field, good, bad) in [
        (
            Api::ChatCompletions,
            "messages",
            vec!["[{}]"],
            vec!["[]", "null", "\"x\"", "{}", "5"],
        ),
        (
            Api::AnthropicMessages,
            "messages",
            vec!["[{}]"],
            vec!["[]", "null"],
        ),
        (
            Api::AnthropicCountTokens,
            "messages",
            vec!["[{}]"],
            vec!["[]"],
        ),
        (
            Api::Completions,
            "prompt",
            vec!["\"x\"", "[\"\"]", "[1]", "[[1]]"],
            vec!["\"\"", "[]", "null", "7"],
        ),
        (
            Api::Responses,
            "input",
            vec!["\"\"", "[]", "\"x\"", "[{}]"],
            vec!["null", "1"],
        ),
        (
            Api::Conversations,
            "items",
            vec!["[{}]"],
            vec!["[]", "null"],
        ),
        (
            Api::Embeddings,
            "input",
            vec!["\"x\"", "[\"x\"]", "[1]"],
            vec!["\"\"", "[]", "null"],
        ),
        (Api::Images, "prompt", vec!["\"x\""], vec!["\"\"", "null"]),
        (
            Api::VllmGenerate,
            "token_ids",
            vec!["[1]"],
            vec!["[]", "null"],
        ),
    ] {
        assert_eq!(missing(api, "{\"model\":\"m\"}"), Some(field), "{api:?}");
        for value in good {
            assert_eq!(
                missing(api, &format!("{{\"{field}\":{value}}}")),
                None,
                "{api:?} {value}"
            );
        }
        for value in bad {
            let body = format!("{{\"{field}\":{value}}}");
            assert_eq!(missing(api, &body), Some(field), "{api:?} {value}");
        }
    }
}

#[test]
fn what_is_not_required() {
    for api in [Api::Rerank, Api::Audio, Api::Tokenize, Api::Other] {
        assert_eq!(missing(api, "{}"), None, "{api:?}");
    }
    assert_eq!(missing(Api::Embeddings, r#"{"messages":[{}]}"#), None);
    assert_eq!(
        missing(Api::Completions, r#"{"prompt_embeds":"AAAA"}"#),
        None
    );
    assert_eq!(
        missing(Api::Completions, r#"{"prompt_embeds":["AAAA"]}"#),
        None
    );
    assert_eq!(
        missing(Api::Completions, r#"{"prompt_embeds":null}"#),
        Some("prompt")
    );
}

#[test]
fn empty_bodies_and_broken_ones() {
    let empty = |api| read_chunks(api, b"", 1);
    assert!(matches!(
        empty(Api::ChatCompletions),
        Err(BodyError::Invalid { offset: 0, .. })
    ));
    assert_eq!(empty(Api::Other), Ok(Facts::default()));
    assert_eq!(empty(Api::Models), Ok(Facts::default()));
    let mut reader = Reader::new(Api::Completions, &HeaderMap::new());
    let error = reader.feed(b"{\"prompt\":}").unwrap_err();
    assert_eq!(reader.feed(b"{}"), Err(error.clone()));
    assert_eq!(reader.finish(), Err(error));
    assert_eq!(
        read_chunks(Api::Completions, b"null", 1),
        Err(BodyError::NotAnObject)
    );
}

#[test]
fn the_model_is_known_as_soon_as_it_was_read() {
    let mut reader = Reader::new(Api::Completions, &HeaderMap::new());
    reader.feed(b"{\"model\":\"m").unwrap();
    assert_eq!(reader.model(), None);
    reader.feed(b"1\",\"prompt\":").unwrap();
    assert_eq!(reader.model().map(|model| &**model), Some("m1"));
}
