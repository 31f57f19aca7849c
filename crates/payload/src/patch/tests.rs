use http::HeaderMap;

use super::*;
use crate::{Api, Reader};

fn read(api: Api, headers: &HeaderMap, body: &Body) -> Facts {
    let mut reader = Reader::new(api, headers);
    body.chunks()
        .iter()
        .for_each(|chunk| reader.feed(chunk).unwrap());
    reader.finish().unwrap()
}

fn json(text: &str, chunk: usize) -> (Body, Facts) {
    let chunks: Vec<Bytes> = text
        .as_bytes()
        .chunks(chunk)
        .map(Bytes::copy_from_slice)
        .collect();
    let body = Body::from(chunks);
    let facts = read(Api::Completions, &HeaderMap::new(), &body);
    (body, facts)
}

fn text(body: &Body) -> String {
    String::from_utf8(body.chunks().concat()).unwrap()
}

#[test]
fn only_the_model_changes() {
    let before = r#"{"n":18446744073709551617, "model" : "old", "x":1.0e-7,"prompt":"\ud83d \"model\":\"old\""}"#;
    let after = before.replacen("\"old\"", r#""new \"name\"""#, 1);
    for chunk in [1, 5, 1000] {
        let (body, facts) = json(before, chunk);
        let span = facts.model_span.clone().unwrap();
        assert_eq!(text(&patch_model(&body, &span, "new \"name\"")), after);
        assert_eq!(
            text(&facts.rewrite(&body, Some("new \"name\""), false)),
            after
        );
        assert_eq!(text(&facts.rewrite(&body, None, false)), before);
    }
}

#[test]
fn nothing_is_copied() {
    let (body, facts) = json(r#"{"model":"old","prompt":"x"}"#, 1000);
    let patched = facts.rewrite(&body, Some("new"), false);
    let range = body.chunks()[0].as_ptr_range();
    assert_eq!(patched.chunks().len(), 3);
    assert!(range.contains(&patched.chunks()[0].as_ptr()));
    assert!(range.contains(&patched.chunks()[2].as_ptr()));
}

#[test]
fn models_that_are_no_strings() {
    for value in ["5", "true", "null", "\"\"", "\"m\\u006f\""] {
        let (body, facts) = json(&format!("{{\"prompt\":\"x\",\"model\":{value}}}"), 3);
        let patched = facts.rewrite(&body, Some("new"), false);
        assert_eq!(text(&patched), r#"{"prompt":"x","model":"new"}"#, "{value}");
    }
    for rest in ["", ",\"model\":[\"a\"]", ",\"model\":{\"model\":\"a\"}"] {
        let (body, facts) = json(&format!("{{\"prompt\":\"x\"{rest}}}"), 3);
        assert_eq!(facts.model, None);
        assert_eq!(text(&facts.rewrite(&body, Some("new"), false)), text(&body));
    }
}

#[test]
fn asking_for_usage() {
    let ask = r#""stream_options":{"include_usage":true}"#;
    for (before, after) in [
        (
            r#" {"model":"m","stream":true,"prompt":"x"}"#.to_owned(),
            format!(r#" {{{ask},"model":"new","stream":true,"prompt":"x"}}"#),
        ),
        (
            r#"{"stream":true,"prompt":"x","stream_options":null,"model":"m"}"#.to_owned(),
            format!(r#"{{"stream":true,"prompt":"x",{ask},"model":"new"}}"#),
        ),
        (
            r#"{"stream":true,"prompt":"x","stream_options":[{"a":[1]}],"model":"m"}"#.to_owned(),
            format!(r#"{{"stream":true,"prompt":"x",{ask},"model":"new"}}"#),
        ),
        (
            r#"{"stream":true,"prompt":"x","stream_options":{ },"model":"m"}"#.to_owned(),
            r#"{"stream":true,"prompt":"x","stream_options":{"include_usage":true },"model":"new"}"#.to_owned(),
        ),
        (
            r#"{"model":"m","stream":true,"prompt":"x","stream_options":{"include_usage":false}}"#.to_owned(),
            format!(r#"{{"model":"new","stream":true,"prompt":"x",{ask}}}"#),
        ),
        (
            r#"{"model":"m","stream":true,"prompt":"x","stream_options":{"continuous_usage_stats":true}}"#.to_owned(),
            r#"{"model":"new","stream":true,"prompt":"x","stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#.to_owned(),
        ),
    ] {
        for chunk in [1, 7, 1000] {
            let (body, facts) = json(&before, chunk);
            assert!(!facts.include_usage);
            let patched = facts.rewrite(&body, Some("new"), true);
            assert_eq!(text(&patched), after);
            assert!(read(Api::Completions, &HeaderMap::new(), &patched).include_usage);
        }
    }
    let (body, facts) = json(
        r#"{"stream":true,"prompt":"x","stream_options":{"include_usage":true}}"#,
        4,
    );
    assert!(facts.include_usage);
    assert_eq!(text(&facts.rewrite(&body, None, true)), text(&body));
    let (_, facts) = json(r#"{"prompt":"x","stream":false}"#, 4);
    assert_eq!(facts.usage_edit, None);
    let body = Body::from(Bytes::from_static(b"{\"stream\":true,\"messages\":[{}]}"));
    let anthropic = read(Api::AnthropicMessages, &HeaderMap::new(), &body);
    assert_eq!(anthropic.usage_edit, None);
    assert!(
        read(Api::ChatCompletions, &HeaderMap::new(), &body)
            .usage_edit
            .is_some()
    );
}

#[test]
fn forms_are_not_quoted() {
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nold\r\n--b--\r\n";
    let mut headers = HeaderMap::new();
    headers.insert(
        "content-type",
        "multipart/form-data; boundary=b".parse().unwrap(),
    );
    let body = Body::from(Bytes::from(form));
    let facts = read(Api::Audio, &headers, &body);
    assert_eq!(
        text(&facts.rewrite(&body, Some("new"), true)),
        form.replace("old", "new")
    );
}
