use super::*;

fn one(text: &str) -> Node {
    let mut documents = parse(text).expect("parses");
    assert_eq!(documents.len(), 1, "one document in {text:?}");
    documents.remove(0)
}

#[test]
fn every_value_knows_its_line() {
    let node = one("a: 1\nb:\n  - x\n  - c: y\n    d.e/f:\n      g: true\n");
    let lines = [
        ("a", 1),
        ("b", 2),
        ("b[0]", 3),
        ("b[1].c", 4),
        ("b[1].d.e/f", 5),
        ("b[1].d.e/f.g", 6),
        ("b[1].d.e/f.missing.deeper", 5),
        ("b[7]", 2),
    ];
    for (path, line) in lines {
        assert_eq!(node.line_at(path), Some(line), "{path}");
    }
}

#[test]
fn documents_are_numbered_through() {
    let documents = parse("# only a comment\n---\na: 1\n---\n---\n\nb: 2\n...\n").expect("parses");
    let lines: Vec<_> = documents
        .iter()
        .map(|node| node.entries()[0].1.line)
        .collect();
    assert_eq!(lines, [3, 7]);
}

#[test]
fn yaml_becomes_the_json_that_kubernetes_would_see() {
    let cases = [
        ("a: yes", serde_json::json!({"a": "yes"})),
        ("a: on", serde_json::json!({"a": "on"})),
        ("a: true", serde_json::json!({"a": true})),
        ("a: '8000'", serde_json::json!({"a": "8000"})),
        ("a: 8000", serde_json::json!({"a": 8000})),
        ("a: -1", serde_json::json!({"a": -1})),
        ("a: 1.5", serde_json::json!({"a": 1.5})),
        ("a:", serde_json::json!({"a": null})),
        ("a: ~", serde_json::json!({"a": null})),
        ("8000: x", serde_json::json!({"8000": "x"})),
        (
            "a: &x {b: 1}\nc: *x",
            serde_json::json!({"a": {"b": 1}, "c": {"b": 1}}),
        ),
        ("a: |\n  x\n  y\n", serde_json::json!({"a": "x\ny\n"})),
        ("a: 1m30s", serde_json::json!({"a": "1m30s"})),
        ("a: 0s", serde_json::json!({"a": "0s"})),
        (
            "a: 2026-01-02T03:04:05Z",
            serde_json::json!({"a": "2026-01-02T03:04:05Z"}),
        ),
        ("a: *.example.com", serde_json::Value::Null),
        (
            "a: '*.example.com'",
            serde_json::json!({"a": "*.example.com"}),
        ),
        ("a: <<", serde_json::json!({"a": "<<"})),
        (
            "{\n\t\"a\": [1, {\"b\\/\": \"\\ud83d\\ude00 \\u00e9\"}]\n}",
            serde_json::json!({"a": [1, {"b/": "😀 é"}]}),
        ),
        (
            "{\"a\":\"x\",\"b\":[]}",
            serde_json::json!({"a": "x", "b": []}),
        ),
    ];
    for (text, want) in cases {
        match parse(text) {
            Ok(documents) => assert_eq!(documents[0].to_json(), want, "{text:?}"),
            Err(error) => assert!(want.is_null(), "{text:?}: {error:?}"),
        }
    }
}

#[test]
fn syntax_errors_have_a_line() {
    for (text, line) in [
        ("a: 1\nb: [1,\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: 1\nb: 2\na: 3\n", 3),
        ("a: 'x\n", 1),
        ("a: *nowhere\n", 1),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.line, Some(line), "{text:?}: {}", error.message);
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let last = level - 1;
        let items = vec![format!("*a{last}"); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert!(parse(&text).is_err());
}
