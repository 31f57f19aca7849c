//! The prompt's spans.

use super::*;

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
    // What one block said is forgotten at the next.
    for (content, media) in [
        (
            r#"{"type":"image_url","image_url":{"url":"a"}},{"type":"x","list":["data:y"]}"#,
            1,
        ),
        (
            r#"{"type":"document","source":{"type":"text","data":"plain"}},{"type":"image","source":{"data":"AAAA"}}"#,
            1,
        ),
    ] {
        let body = format!("{{\"messages\":[{{\"content\":[{content}]}}]}}");
        assert_eq!(
            read(Api::AnthropicMessages, &body).media,
            media,
            "{content}"
        );
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
    // A member of that name in a tool's input is none of ours.
    let body = format!(
        r#"{{"messages":[{{"content":[{{"type":"tool_use","input":{{"list":[{{{mark}}}],"content":{{{mark}}}}}}}]}}]}}"#
    );
    assert_eq!(joined(&body), body["{\"messages\":[".len()..body.len() - 2]);
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
fn spans_are_bounded() {
    let many = crate::MAX_PROMPT_SPANS + 100;
    let body = format!("{{\"prompt\":[{}]}}", vec!["\"ab\""; many].join(","));
    let facts = read_chunks(Api::Completions, body.as_bytes(), 1000).unwrap();
    assert_eq!(facts.prompt.len(), crate::MAX_PROMPT_SPANS);
    assert_eq!(facts.prompt.last().unwrap().range.end, body.len() - 3);
}
