use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::FieldState;

fn read(reader: &mut JsonResponse, body: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(chunk) {
        reader.push(Bytes::copy_from_slice(piece), &mut |bytes| {
            assert!(!bytes.is_empty());
            out.extend_from_slice(&bytes);
        });
    }
    reader.finish(&mut |bytes| out.extend_from_slice(&bytes));
    out
}

fn renaming(to: &str) -> JsonResponse {
    JsonResponse::new(Api::ChatCompletions, Some(Rename { to: Arc::from(to) }))
}

#[test]
fn usage_by_dialect() {
    for (body, prompt, cached, output, state) in [
        (
            r#"{"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":6}}}"#,
            Some(10),
            Some(6),
            Some(4),
            FieldState::Given,
        ),
        (
            r#"{"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":null}}"#,
            Some(10),
            None,
            Some(4),
            FieldState::Null,
        ),
        (
            r#"{"usage":{"prompt_tokens":10,"total_tokens":10}}"#,
            Some(10),
            None,
            None,
            FieldState::Absent,
        ),
        (
            r#"{"usage":{"input_tokens":"10","output_tokens":4,"input_tokens_details":{"cached_tokens":0}}}"#,
            Some(10),
            Some(0),
            Some(4),
            FieldState::Given,
        ),
        (
            r#"{"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":20,"output_tokens":4}}"#,
            Some(35),
            Some(20),
            Some(4),
            FieldState::Given,
        ),
        (
            r#"{"usage":{"input_tokens":10,"cache_read_input_tokens":null,"output_tokens":4}}"#,
            Some(10),
            None,
            Some(4),
            FieldState::Null,
        ),
    ] {
        let expected = Usage {
            prompt_tokens: prompt,
            cached_tokens: cached,
            output_tokens: output,
            cached: state,
        };
        for chunk in [1, 7, body.len()] {
            let mut reader = JsonResponse::new(Api::ChatCompletions, None);
            assert_eq!(read(&mut reader, body.as_bytes(), chunk), body.as_bytes());
            assert_eq!(reader.usage(), Some(expected), "{body}");
            assert!(reader.is_complete());
        }
    }
    for body in [
        "{}",
        r#"{"usage":null}"#,
        r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#,
        r#"{"usage":{"details":{"prompt_tokens":1}}}"#,
        r#"{"text":"\"usage\":{\"prompt_tokens\":1}"}"#,
    ] {
        let mut reader = JsonResponse::new(Api::ChatCompletions, None);
        read(&mut reader, body.as_bytes(), 3);
        assert_eq!(reader.usage(), None, "{body}");
    }
}

#[test]
fn reasons_and_errors() {
    for (body, reason, error) in [
        (
            r#"{"choices":[{"finish_reason":"tool_calls"}]}"#,
            Some(FinishReason::ToolCalls),
            false,
        ),
        (
            r#"{"stop_reason":"max_tokens"}"#,
            Some(FinishReason::Length),
            false,
        ),
        (r#"{"choices":[{"finish_reason":null}]}"#, None, false),
        (
            r#"{"incomplete_details":{"reason":"content_filter"}}"#,
            Some(FinishReason::ContentFilter),
            false,
        ),
        (
            r#"{"choices":[{"finish_reason":"novel"}]}"#,
            Some(FinishReason::Other),
            false,
        ),
        (r#"{"error":{"message":"x"}}"#, None, true),
        (r#"{"type":"error"}"#, None, true),
        (r#"{"error":null}"#, None, false),
    ] {
        let mut reader = JsonResponse::new(Api::ChatCompletions, None);
        read(&mut reader, body.as_bytes(), 4);
        assert_eq!(
            (reader.finish_reason(), reader.saw_error()),
            (reason, error),
            "{body}"
        );
    }
}

const BODY: &str = r#"{"id":"1","model" : "old\"na\u006de","choices":[{"message":{"model":"stays","content":"\"model\":\"old\""}}],"response":{"model":""},"message":{"model":"old"},"model":7,"usage":{"prompt_tokens":2}}"#;
const RENAMED: &str = r#"{"id":"1","model" : "n\n","choices":[{"message":{"model":"stays","content":"\"model\":\"old\""}}],"response":{"model":"n\n"},"message":{"model":"n\n"},"model":7,"usage":{"prompt_tokens":2}}"#;

#[test]
fn names_are_replaced_where_they_are_names_for_every_split() {
    for cut in 1..BODY.len() {
        let mut reader = renaming("n\n");
        let mut out = Vec::new();
        for piece in [&BODY[..cut], &BODY[cut..]] {
            reader.push(Bytes::from_static(piece.as_bytes()), &mut |bytes| {
                out.extend_from_slice(&bytes);
            });
        }
        assert_eq!(str::from_utf8(&out), Ok(RENAMED), "cut at {cut}");
    }
    assert_eq!(
        read(&mut renaming("n\n"), BODY.as_bytes(), 1),
        RENAMED.as_bytes()
    );
}

#[test]
fn what_is_not_json_passes() {
    for body in [
        "",
        "[1,2]",
        "plain text",
        "{\"model\":\"x\n\"} and more",
        "{\"a\":1}{\"model\":\"x\"}",
    ] {
        for chunk in [1, 3, 100] {
            let mut reader = renaming("n");
            let out = read(&mut reader, body.as_bytes(), chunk);
            let out = String::from_utf8(out).unwrap();
            assert!(!reader.is_complete());
            if chunk == 100 {
                assert_eq!(out, body);
            }
            // Only a name that had begun to pass may be missing.
            assert!(
                out == body || out.starts_with("{\"model\":\"n\""),
                "{body:?} {out:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn splits_do_not_matter(json in crate::scan::json(), chunk in 1usize..20) {
        let mut json = json;
        json["model"] = "old".into();
        let body = json.to_string();
        json["model"] = "a new name".into();
        for (nested, key) in [("response", "model"), ("message", "model")] {
            if let Some(model) = json.get_mut(nested).and_then(|value| value.get_mut(key))
                && model.is_string()
            {
                *model = "a new name".into();
            }
        }
        let out = read(&mut renaming("a new name"), body.as_bytes(), chunk);
        prop_assert_eq!(String::from_utf8(out).unwrap(), json.to_string());
    }
}
