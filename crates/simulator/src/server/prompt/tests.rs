use super::*;

#[derive(Deserialize)]
struct Chat<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

fn rendered(json: &str) -> String {
    let chat: Chat<'_> = serde_json::from_str(json).expect("valid");
    String::from_utf8(super::chat(None, None, &chat.messages)).expect("text")
}

#[test]
fn spelling_of_the_json_does_not_matter() {
    let expected = "<|system|>be kind<|end|><|user|>a\nb<|end|><|assistant|>";
    let table = [
        r#"{"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"a\nb"}]}"#,
        r#"{ "messages" : [ {"content" : "be kind", "role":"system", "name":"x"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"\u000ab"}]}]}"#,
    ];
    for json in table {
        assert_eq!(rendered(json), expected);
    }
}

#[test]
fn an_answer_that_returns_extends_the_prompt_that_it_answered() {
    let first = rendered(r#"{"messages":[{"role":"user","content":"hello"}]}"#);
    let second = rendered(
        r#"{"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":" bab cec"},
            {"role":"user","content":"more"}]}"#,
    );
    assert!(second.starts_with(&format!("{first} bab cec")));
}

#[test]
fn parts_of_every_api_are_read() {
    let out = rendered(
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},
            {"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"T"}]},
                {"type":"tool_result","content":"S"},{"type":"thinking","thinking":"H"},
                {"type":"tool_use","input":{"k":1}}]}]}"#,
    );
    assert_eq!(
        out,
        r#"<|assistant|>[{"id":"1"}]<|end|><|user|>TSH{"k":1}<|end|><|assistant|>"#
    );
}

#[test]
fn an_image_counts_a_flat_number_of_tokens_and_differs_by_its_address() {
    let image = |url: &str| {
        let json = format!(
            r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}"#
        );
        let chat: Chat<'_> = serde_json::from_str(&json).expect("valid");
        super::chat(None, None, &chat.messages)
    };
    assert!(image("a").len() > MEDIA_TOKENS * TOKEN_BYTES);
    assert_eq!(image("a"), image("a"));
    assert_ne!(image("a"), image("b"));
}

#[test]
fn prompts_come_in_four_shapes() {
    let parse = |json: &str| serde_json::from_str::<Prompts<'_>>(json).map(Prompts::render);
    let table: [(&str, &[&[u8]]); 6] = [
        (r#""ab\t""#, &[b"ab\t"]),
        (r#"["ab","c\n"]"#, &[b"ab", b"c\n"]),
        ("[1,258]", &[&[1, 0, 0, 0, 2, 1, 0, 0]]),
        ("[[1],[2,3]]", &[&[1, 0, 0, 0], &[2, 0, 0, 0, 3, 0, 0, 0]]),
        ("[]", &[]),
        ("[[]]", &[b""]),
    ];
    for (json, expected) in table {
        assert_eq!(parse(json).expect(json), expected, "{json}");
    }
    for bad in [r#"[1,"a"]"#, r#"["a",1]"#, "{}", "[-1]", "7", "[1.5]"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
