//! Random requests, compared with what serde_json makes of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
