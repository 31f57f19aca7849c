use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

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

#[test]
fn chat_prompts_are_whole_messages_after_the_tools() {
    let body = r#"{"messages":[{"role":"system","content":"be brief"}, {"content":[{"type":"text","text":"hi"}],"role":"user"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"arguments":"{}"}}]}],"tools":[{"type":"function"}],"model":"m"}"#;
    assert_eq!(
        spans(Api::ChatCompletions, body),
        [
            (TOOLS, r#"[{"type":"function"}]"#.into()),
            (MESSAGE, r#"{"role":"system","content":"be brief"}"#.into()),
            (MESSAGE, r#"{"content":[{"type":"text","text":"hi"}],"role":"user"}"#.into()),
            (MESSAGE, r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"arguments":"{}"}}]}"#.into()),
        ]
    );
    let facts = read(Api::ChatCompletions, body);
    assert_eq!(
        facts.prompt_bytes,
        facts
            .prompt
            .iter()
            .map(|span| span.range.len())
            .sum::<usize>()
    );
    assert_eq!(
        facts.prompt_tokens_estimate(),
        (facts.prompt_bytes as u64).div_ceil(4)
    );
}

#[test]
fn media_stand_apart() {
    let body = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x,AAAA","detail":"low"}},{"type":"text","text":"what?"},{"type":"input_audio","input_audio":{"data":"BBBB","format":"wav"}},{"type":"file","file":{"file_data":"CCCC"}}]}]}"#;
    let found = spans(Api::ChatCompletions, body);
    let media: Vec<&str> = found
        .iter()
        .filter(|s| s.0 == MEDIA)
        .map(|s| &*s.1)
        .collect();
    assert_eq!(media, ["data:x,AAAA", "BBBB", "CCCC"]);
    assert_eq!(
        found.iter().map(|s| &*s.1).collect::<String>(),
        body[13..body.len() - 2]
    );
    let facts = read(Api::ChatCompletions, body);
    assert_eq!(facts.media, 3);
    assert_eq!(facts.prompt_bytes, body.len() - 15 - 11 - 8);
    assert_eq!(
        facts.prompt_tokens_estimate(),
        (facts.prompt_bytes as u64).div_ceil(4) + 3 * 225
    );
}

#[test]
fn what_is_a_medium() {
    for (api, content, media) in [
        (
            Api::Responses,
            r#"{"type":"input_image","image_url":"https://x/y.png"}"#,
            1,
        ),
        (
            Api::Responses,
            r#"{"type":"input_file","file_data":"AAAA"}"#,
            1,
        ),
        (Api::Responses, r#"{"type":"text","text":"data:x"}"#, 0),
        (
            Api::AnthropicMessages,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#,
            1,
        ),
        (
            Api::AnthropicMessages,
            r#"{"type":"image","source":{"type":"url","url":"https://x"}}"#,
            1,
        ),
        (
            Api::AnthropicMessages,
            r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain"}}"#,
            0,
        ),
        (
            Api::AnthropicMessages,
            r#"{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}}]}"#,
            1,
        ),
        (
            Api::AnthropicMessages,
            r#"{"type":"tool_use","input":{"url":"https://x","data":"d","source":{"data":"d"}}}"#,
            0,
        ),
        (
            Api::ChatCompletions,
            r#"{"type":"video_url","video_url":{"url":"https://x"}}"#,
            1,
        ),
        (Api::ChatCompletions, r#"{"image":"https://x"}"#, 0),
    ] {
        let list = if api == Api::Responses {
            "input"
        } else {
            "messages"
        };
        let body = format!("{{\"{list}\":[{{\"role\":\"user\",\"content\":[{content}]}}]}}");
        assert_eq!(read(api, &body).media, media, "{content}");
    }
    let screenshot = r#"{"input":[{"type":"computer_call_output","output":{"image_url":"data:image/png;base64,AAAA"}}]}"#;
    assert_eq!(read(Api::Responses, screenshot).media, 1);
}

#[test]
fn cache_markers_leave_no_trace() {
    let plain = r#"{"system":[{"type":"text","text":"s"}],"tools":[{"name":"t","input_schema":{"cache_control":1}}],"messages":[{"role":"user","content":[{"type":"text","text":"a"}, {"type":"text","text":"b"}]}]}"#;
    let mark = r#""cache_control" : {"type":"ephemeral","ttl":["1h"]}"#;
    let joined = |body: &str| {
        let spans = spans(Api::AnthropicMessages, body);
        spans.into_iter().map(|span| span.1).collect::<String>()
    };
    let expected = joined(plain);
    assert!(expected.contains(r#""input_schema":{"cache_control":1}"#));
    for (at, marked) in [
        (r#""text":"b"}"#, format!(r#""text":"b", {mark}}}"#)),
        (r#""text":"a"}"#, format!(r#""text":"a",{mark} }}"#)),
        (
            r#"{"type":"text","text":"b"}"#,
            format!(r#"{{{mark}, "type":"text","text":"b"}}"#),
        ),
        (
            r#"{"type":"text","text":"b"}"#,
            format!(r#"{{"type":"text",{mark},"text":"b"}}"#),
        ),
        (r#""text":"s"}"#, format!(r#""text":"s",{mark}}}"#)),
        (r#"{"name":"t""#, format!(r#"{{"name":"t",{mark}"#)),
        (r#"{"role":"user""#, format!(r#"{{ {mark},"role":"user""#)),
    ] {
        let body = plain.replacen(at, &marked, 1);
        assert_ne!(body, plain);
        let found = joined(&body).replace("{ ", "{").replace(" }", "}");
        assert_eq!(found, expected, "{marked}");
    }
    // A marker that is alone in its object.
    let body = format!(r#"{{"messages":[{{"content":[{{{mark}}}]}}]}}"#);
    assert_eq!(joined(&body), r#"{"content":[{}]}"#);
}

#[test]
fn anthropic_billing_header_is_left_out() {
    let body = r#"{"messages":[{"role":"user","content":"x-anthropic-billing-header: kept"}],"system":[{"type":"text","text":"x-anthropic-billing-header: v=1; h=abc;"},{"type":"text","text":"You are"}]}"#;
    let found = spans(Api::AnthropicMessages, body);
    assert_eq!(found[0], (SYSTEM, r#"[{"type":"text","text":"#.into()));
    assert_eq!(
        found[1],
        (SYSTEM, r#"},{"type":"text","text":"You are"}]"#.into())
    );
    assert_eq!(found[2].0, MESSAGE);
    assert!(found[2].1.contains("kept"));
}

#[test]
fn texts_and_token_ids() {
    let completion = |prompt: &str| spans(Api::Completions, &format!("{{\"prompt\":{prompt}}}"));
    assert_eq!(completion(r#""a\"b""#), [(TEXT, "a\\\"b".into())]);
    assert_eq!(
        completion(r#"["ab", "c"]"#),
        [(TEXT, "ab".into()), (TEXT, "c".into())]
    );
    assert_eq!(completion("[1, 22,333]"), [(IDS, "[1, 22,333]".into())]);
    assert_eq!(
        completion("[[1,2],[3]]"),
        [(IDS, "[1,2]".into()), (IDS, "[3]".into())]
    );
    for (api, body, ids) in [
        (Api::Completions, r#"{"prompt":[1, 22,333]}"#, 3),
        (Api::Completions, r#"{"prompt":[[1,2],[3]]}"#, 3),
        (Api::Embeddings, r#"{"input":[[1,2],[3,4]]}"#, 4),
        (Api::VllmGenerate, r#"{"token_ids":[9,8]}"#, 2),
    ] {
        let facts = read(api, body);
        assert_eq!(facts.token_ids, Some(ids), "{body}");
        assert_eq!(facts.prompt_tokens_estimate(), ids as u64);
    }
    let body = r#"{"input":"text","instructions":"sys","tools":[]}"#;
    assert_eq!(
        spans(Api::Responses, body),
        [
            (TOOLS, "[]".into()),
            (SYSTEM, "sys".into()),
            (TEXT, "text".into())
        ]
    );
    let body = r#"{"input":[{"role":"user","content":"x"},"bare"]}"#;
    assert_eq!(
        spans(Api::Responses, body),
        [
            (MESSAGE, r#"{"role":"user","content":"x"}"#.into()),
            (MESSAGE, "\"bare\"".into())
        ]
    );
    let body = r#"{"system":"sys","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(
        spans(Api::AnthropicMessages, body)[0],
        (SYSTEM, "sys".into())
    );
    let body = r#"{"items":[{"type":"message"}]}"#;
    assert_eq!(
        spans(Api::Conversations, body),
        [(MESSAGE, r#"{"type":"message"}"#.into())]
    );
    // Bodies whose prompt is not read apart count as a whole.
    let body = r#"{"query":"12345678","documents":[]}"#;
    assert_eq!(read(Api::Rerank, body).prompt, []);
    assert_eq!(
        read(Api::Rerank, body).prompt_tokens_estimate(),
        body.len() as u64 / 4
    );
}

#[test]
fn required_fields() {
    let missing = |api, body: &str| match try_read(api, body) {
        Err(BodyError::MissingField { field, .. }) => Some(field),
        other => {
            assert!(other.is_ok(), "{body}: {other:?}");
            None
        }
    };
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

#[test]
fn spans_are_bounded() {
    let many = crate::MAX_PROMPT_SPANS + 100;
    let body = format!("{{\"prompt\":[{}]}}", vec!["\"ab\""; many].join(","));
    let facts = read_chunks(Api::Completions, body.as_bytes(), 1000).unwrap();
    assert_eq!(facts.prompt.len(), crate::MAX_PROMPT_SPANS);
    assert_eq!(facts.prompt.last().unwrap().range.end, body.len() - 3);
}

/// A request that has some of everything, with members in any order.
fn requests() -> impl Strategy<Value = Vec<(String, Value)>> {
    let text = "[ -~é\"\\\\\n]{0,20}";
    let part = text.prop_map(|text| json!({"type": "text", "text": text}));
    let content = prop_oneof![
        text.prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(part, 0..3).prop_map(Value::from),
    ];
    let message = (content, "[a-z]{4}", crate::scan::json()).prop_map(
        |(content, role, extra)| json!({"role": role, "content": content, "extra": extra}),
    );
    let member = prop_oneof![
        "[a-z/\"é]{0,8}".prop_map(|model| ("model".to_owned(), Value::from(model))),
        prop::collection::vec(message, 1..4).prop_map(|list| ("messages".to_owned(), list.into())),
        any::<bool>().prop_map(|stream| ("stream".to_owned(), stream.into())),
        any::<u16>().prop_map(|max| ("max_tokens".to_owned(), max.into())),
        any::<u16>().prop_map(|max| ("max_completion_tokens".to_owned(), max.into())),
        any::<bool>().prop_map(|ask| ("stream_options".to_owned(), json!({"include_usage": ask}))),
        "[a-z]{1,4}".prop_map(|salt| ("cache_salt".to_owned(), salt.into())),
        crate::scan::json().prop_map(|tools| ("tools".to_owned(), json!([tools]))),
        crate::scan::json().prop_map(|other| ("other".to_owned(), other)),
    ];
    prop::collection::vec(member, 0..9)
}

fn write(members: &[(String, Value)], pretty: bool) -> String {
    let write = |value: &Value| {
        if pretty {
            format!("{value:#}")
        } else {
            value.to_string()
        }
    };
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("\"{key}\" :{}", write(value)))
        .collect();
    format!("{{{}}}", members.join(" , "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn tells_what_a_document_would(members in requests(), pretty in any::<bool>(), chunk in 1usize..64) {
        let body = write(&members, pretty);
        // serde_json, too, lets the last of equal members win.
        let value: Value = serde_json::from_str(&body).unwrap();
        let facts = match read_chunks(Api::ChatCompletions, body.as_bytes(), chunk) {
            Err(error) => {
                let is_missing = matches!(error, BodyError::MissingField { field: "messages", .. });
                prop_assert!(is_missing);
                prop_assert!(value.get("messages").is_none());
                return Ok(());
            }
            Ok(facts) => facts,
        };
        let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty());
        prop_assert_eq!(facts.model.as_deref(), text("model"));
        let named = facts.model_span.clone().map(|span| serde_json::from_str::<Value>(&body[span]).unwrap());
        prop_assert_eq!(named.as_ref(), value.get("model"));
        prop_assert_eq!(facts.cache_salt.as_deref(), text("cache_salt"));
        prop_assert_eq!(facts.stream, value["stream"] == true);
        prop_assert_eq!(facts.include_usage, value["stream_options"]["include_usage"] == true);
        let max = value["max_completion_tokens"].as_u64().or(value["max_tokens"].as_u64());
        prop_assert_eq!(facts.max_tokens, max);
        let parts: Vec<Value> = facts
            .prompt
            .iter()
            .map(|span| serde_json::from_str(&body[span.range.clone()]).unwrap())
            .collect();
        let mut expected: Vec<Value> = value.get("tools").into_iter().cloned().collect();
        expected.extend(value["messages"].as_array().unwrap().iter().cloned());
        prop_assert_eq!(parts, expected);
        prop_assert_eq!(facts.bytes, body.len());
        prop_assert_eq!(read_chunks(Api::ChatCompletions, body.as_bytes(), body.len()), Ok(facts));
    }

    #[test]
    fn any_object_is_read_by_every_api(json in crate::scan::json(), chunk in 1usize..9) {
        let body = json.to_string();
        for api in [Api::ChatCompletions, Api::Completions, Api::Responses, Api::Conversations, Api::Embeddings,
            Api::Rerank, Api::AnthropicMessages, Api::VllmGenerate, Api::Other]
        {
            // Every object under every key that means something.
            for key in ["messages", "input", "prompt", "system", "tools", "stream_options", "sampling_params", "token_ids"] {
                let body = format!("{{\"{key}\":{body},\"{key}\":[{body}]}}");
                let whole = read_chunks(api, body.as_bytes(), body.len());
                prop_assert_eq!(read_chunks(api, body.as_bytes(), chunk), whole.clone());
                for span in whole.map(|facts| facts.prompt).unwrap_or_default() {
                    prop_assert!(span.range.start < span.range.end && span.range.end <= body.len());
                }
            }
        }
    }
}
