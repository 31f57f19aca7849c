mod splits;

use super::*;
use crate::FieldState;

/// Everything a stream told.
#[derive(Debug, PartialEq)]
struct Told {
    out: String,
    usage: Option<Usage>,
    events: u32,
    content_events: u32,
    firsts: u32,
    reason: Option<FinishReason>,
    end: bool,
    error: bool,
    ended: Ended,
}

fn read(reader: StreamReader, pieces: impl IntoIterator<Item = Vec<u8>>) -> Told {
    let mut reader = reader;
    let mut out = Vec::new();
    let (mut events, mut content_events, mut firsts) = (0, 0, 0);
    for piece in pieces {
        let progress = reader.push(Bytes::from(piece), &mut |bytes| {
            out.extend_from_slice(&bytes)
        });
        events += progress.events;
        content_events += progress.content_events;
        firsts += u32::from(progress.first_content);
    }
    let ended = reader.finish(&mut |bytes| out.extend_from_slice(&bytes));
    Told {
        out: String::from_utf8(out).unwrap(),
        usage: reader.usage(),
        events,
        content_events,
        firsts,
        reason: reader.finish_reason(),
        end: reader.saw_end(),
        error: reader.saw_error(),
        ended,
    }
}

fn whole(api: Api, stream: &str) -> Told {
    read(StreamReader::new(api, None), [stream.as_bytes().to_vec()])
}

fn renaming(to: &str) -> Option<Rename> {
    Some(Rename { to: Arc::from(to) })
}

fn usage(prompt: u64, cached: Option<u64>, output: u64, state: FieldState) -> Option<Usage> {
    Some(Usage {
        prompt_tokens: Some(prompt),
        cached_tokens: cached,
        output_tokens: Some(output),
        cached: state,
    })
}

const CHAT: &str = concat!(
    "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    ": keep-alive\n\n",
    "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"model\\\":\\\"m\\\" x\"}}]}\n\n",
    "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"total_tokens\":15,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"1\",\"model\":\"m\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1,\"cache_read_input_tokens\":100}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m\",\"usage\":null,\"error\":null}}\n\n",
    "event: response.output_text.delta\ndata: {\"delta\":\"Hi\",\"type\":\"response.output_text.delta\"}\n\n",
    "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"model\":\"m\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":null},\"output_tokens\":4}}}\n\n",
);

#[test]
fn chat() {
    let told = whole(Api::ChatCompletions, CHAT);
    assert_eq!(told.out, CHAT);
    assert_eq!(told.usage, usage(12, Some(8), 3, FieldState::Given));
    assert_eq!((told.events, told.content_events, told.firsts), (5, 1, 1));
    assert_eq!(told.reason, Some(FinishReason::Length));
    assert_eq!(
        (told.end, told.error, told.ended),
        (true, false, Ended::Complete)
    );
}

#[test]
fn anthropic_merges_start_and_delta() {
    let told = whole(Api::AnthropicMessages, ANTHROPIC);
    assert_eq!(told.out, ANTHROPIC);
    assert_eq!(told.usage, usage(125, Some(100), 15, FieldState::Given));
    assert_eq!((told.events, told.content_events, told.firsts), (6, 1, 1));
    assert_eq!(told.reason, Some(FinishReason::Stop));
    assert_eq!(
        (told.end, told.error, told.ended),
        (true, false, Ended::Complete)
    );
}

#[test]
fn responses() {
    let told = whole(Api::Responses, RESPONSES);
    assert_eq!(told.usage, usage(9, None, 4, FieldState::Null));
    assert_eq!((told.events, told.content_events, told.firsts), (3, 1, 1));
    assert_eq!(told.reason, Some(FinishReason::Length));
    assert_eq!(
        (told.end, told.error, told.ended),
        (true, false, Ended::Complete)
    );
}

#[test]
fn continuous_usage_grows_and_nulls_do_not_reset() {
    let stream = "data: {\"choices\":[{\"text\":\"a\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\n\
                  data: {\"choices\":[{\"text\":\"b\"}],\"usage\":{\"prompt_tokens\":\"7\",\"completion_tokens\":2.0}}\n\n\
                  data: {\"choices\":[],\"usage\":null}\n\ndata: [DONE]\n\n";
    let told = whole(Api::Completions, stream);
    assert_eq!(told.usage, usage(7, None, 2, FieldState::Absent));
    assert_eq!((told.content_events, told.firsts), (2, 1));
    let events = stream
        .split_inclusive("\n\n")
        .map(|event| event.as_bytes().to_vec());
    assert_eq!(
        read(StreamReader::new(Api::Completions, None), events),
        told
    );
}

#[test]
fn what_counts_as_content() {
    for (data, expected) in [
        (r#"{"choices":[{"delta":{"role":"assistant"}}]}"#, false),
        (r#"{"choices":[{"delta":{"content":""}}]}"#, false),
        (r#"{"choices":[{"delta":{"content":null}}]}"#, false),
        (r#"{"choices":[{"delta":{"content":"x"}}]}"#, true),
        (
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"x"}]}}]}"#,
            true,
        ),
        (r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#, true),
        (r#"{"choices":[{"delta":{"reasoning":"x"}}]}"#, true),
        (r#"{"choices":[{"delta":{"refusal":"x"}}]}"#, true),
        (r#"{"choices":[{"delta":{"tool_calls":[]}}]}"#, false),
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            true,
        ),
        (
            r#"{"choices":[{"delta":{"function_call":{"name":"f"}}}]}"#,
            true,
        ),
        (r#"{"choices":[{"text":""}]}"#, false),
        (r#"{"choices":[{"text":"x"}]}"#, true),
        (r#"{"choices":[{"token_ids":[]}]}"#, false),
        (r#"{"choices":[{"token_ids":[5]}]}"#, true),
        (r#"{"choices":[{"prompt_token_ids":[5]}]}"#, false),
        (
            r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            true,
        ),
        (
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"x"}}"#,
            true,
        ),
        (
            r#"{"type":"content_block_start","content_block":{"type":"text","text":"x"}}"#,
            false,
        ),
        (
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            false,
        ),
        (
            r#"{"delta":"x","type":"response.function_call_arguments.delta"}"#,
            true,
        ),
        (r#"{"type":"response.output_text.done","text":"x"}"#, false),
        (
            r#"{"delta":"x","type":"response.output_text.delta_not"}"#,
            false,
        ),
        (r#"{"ch\u006fices":[{"delta":{"\u0063ontent":"x"}}]}"#, true),
        (r#"{"choices":[{"logprobs":{"content":"x"}}]}"#, false),
    ] {
        let told = whole(Api::Other, &format!("data: {data}\n\n"));
        assert_eq!(told.content_events == 1, expected, "{data}");
        assert_eq!(told.events, 1, "{data}");
    }
}

#[test]
fn names_are_replaced_where_they_are_names() {
    let stream = concat!(
        "data: {\"model\":\"a\",\"response\":{\"model\" : \"b\",\"output\":[{\"model\":\"no\"}]},\"message\":{\"model\":\"c\"},\"x\":{\"model\":\"no\"},\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"a\\\"\",\"model\":\"no\"}}]}\n\n",
        "data: {\"model\":null,\"text\":\"model\"}\r\n\r\n",
        "data: {\"mod\\u0065l\":\"\"}\n\n",
    );
    let expected = concat!(
        "data: {\"model\":\"n\\\"w\",\"response\":{\"model\" : \"n\\\"w\",\"output\":[{\"model\":\"no\"}]},\"message\":{\"model\":\"n\\\"w\"},\"x\":{\"model\":\"no\"},\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"a\\\"\",\"model\":\"no\"}}]}\n\n",
        "data: {\"model\":null,\"text\":\"model\"}\r\n\r\n",
        "data: {\"mod\\u0065l\":\"n\\\"w\"}\n\n",
    );
    let reader = StreamReader::new(Api::Other, renaming("n\"w"));
    assert_eq!(read(reader, [stream.into()]).out, expected);
}

#[test]
fn line_ends_and_field_spellings() {
    let data = "{\"choices\":[{\"text\":\"x\"}],\"usage\":{\"prompt_tokens\":1}}";
    for end in ["\n", "\r\n", "\r"] {
        for stream in [
            format!("data: {data}{end}{end}data: [DONE]{end}{end}"),
            format!("data:{data}{end}{end}data:[DONE]{end}{end}"),
            format!("\u{feff}data:{data}{end}{end}data:[DONE]{end}{end}"),
            format!("id: 1{end}data: {data}{end}retry: 3{end}{end}: c{end}data: [DONE]{end}{end}"),
            format!(
                "{end}{end}data: {data}{end}{end}{end}datum: x{end}{end}data: [DONE]{end}{end}"
            ),
        ] {
            let told = whole(Api::Completions, &stream);
            assert_eq!(told.out, stream);
            assert_eq!((told.events, told.content_events), (2, 1), "{stream:?}");
            assert_eq!(
                told.usage.and_then(|u| u.prompt_tokens),
                Some(1),
                "{stream:?}"
            );
            assert!(told.end, "{stream:?}");
        }
    }
}

#[test]
fn data_over_several_lines() {
    let stream = "data: {\"model\":\"old\",\ndata: \"usage\":{\"prompt_tokens\":1\ndata:\ndata:,\"completion_tokens\":\ndata: 2}}\n\n";
    let reader = StreamReader::new(Api::Other, renaming("new"));
    let told = read(reader, [stream.into()]);
    assert_eq!(told.out, stream.replace("old", "new"));
    assert_eq!(told.usage, usage(1, None, 2, FieldState::Absent));
    // Lines are joined by line feeds, so this is no number 12.
    let told = whole(
        Api::Other,
        "data: {\"usage\":{\"prompt_tokens\":1\ndata: 2}}\n\n",
    );
    assert_eq!(told.usage, None);
}

#[test]
fn errors_and_ends() {
    let chat = Api::ChatCompletions;
    for (api, stream, end, error, ended) in [
        (
            chat,
            "data: {\"error\":{\"message\":\"x\"}}\n\n",
            false,
            true,
            Ended::Complete,
        ),
        (
            chat,
            "data: {\"error\":null}\n\n",
            false,
            false,
            Ended::NoEndMarker,
        ),
        (
            chat,
            "event: error\ndata: oops\n\n",
            false,
            true,
            Ended::Complete,
        ),
        (chat, "data: [DONE]\n\n", true, false, Ended::Complete),
        (chat, "data: [DONE]", true, false, Ended::Complete),
        (chat, "data: [DONE", false, false, Ended::MidEvent),
        (
            chat,
            "data: {\"id\":\"1\"}\n\n",
            false,
            false,
            Ended::NoEndMarker,
        ),
        (chat, "", false, false, Ended::NoEndMarker),
        (
            Api::Responses,
            "data: {\"type\":\"response.failed\"}\n\n",
            true,
            true,
            Ended::Complete,
        ),
        (
            Api::Responses,
            "data: {\"type\":\"response.completed\"}\n\n",
            true,
            false,
            Ended::Complete,
        ),
        (
            Api::AnthropicMessages,
            "data: {\"type\":\"error\"}\n\n",
            false,
            true,
            Ended::Complete,
        ),
        (
            Api::AnthropicMessages,
            "data: {\"type\":\"message_stop\"}\n\n",
            true,
            false,
            Ended::Complete,
        ),
        (
            Api::Audio,
            "data: {\"x\":1}\n\n",
            false,
            false,
            Ended::Complete,
        ),
    ] {
        let told = whole(api, stream);
        assert_eq!(
            (told.end, told.error, told.ended),
            (end, error, ended),
            "{stream:?}"
        );
    }
}

#[test]
fn the_end_of_a_stream_that_stops_short() {
    let chat = Api::ChatCompletions;
    let first = "data: {\"id\":\"1\"}\n\n";
    // What cannot be read any more is not handed on.
    let told = whole(chat, &format!("{first}data: {{\"id\":"));
    assert_eq!((told.out.as_str(), told.ended), (first, Ended::MidEvent));
    // What only lacks its end gets it.
    let told = whole(chat, &format!("{first}data: [DONE]"));
    assert_eq!(
        (told.out, told.ended),
        (format!("{first}data: [DONE]\n\n"), Ended::Complete)
    );
    let told = whole(chat, ": half a comment");
    assert_eq!(
        (told.out.as_str(), told.ended),
        (": half a comment\n", Ended::NoEndMarker)
    );
    // Streams of unknown kind pass as they are.
    let told = whole(Api::Other, "data: {\"id\":");
    assert_eq!(
        (told.out.as_str(), told.ended),
        ("data: {\"id\":", Ended::Complete)
    );
}

#[test]
fn only_whole_events_are_handed_on_and_comments_at_once() {
    let mut reader = StreamReader::new(Api::ChatCompletions, None);
    let mut step = |piece: &'static str| {
        let mut out = String::new();
        reader.push(Bytes::from_static(piece.as_bytes()), &mut |bytes| {
            out.push_str(str::from_utf8(&bytes).unwrap());
        });
        out
    };
    assert_eq!(step("data: {\"id\":\"1\"}"), "");
    assert_eq!(step("\n"), "");
    assert_eq!(step("\ndata: {"), "data: {\"id\":\"1\"}\n\n");
    assert_eq!(step("}\n\n: ping\n: po"), "data: {}\n\n: ping\n");
    assert_eq!(step("ng\r"), ": pong\r");
    assert_eq!(step("\nda"), "\n");
    assert_eq!(step("ta: [DONE]\r\n\r"), "data: [DONE]\r\n\r");
    assert_eq!(step("\n"), "\n");
}

#[test]
fn events_are_not_copied() {
    let mut reader = StreamReader::new(Api::ChatCompletions, None);
    let chunk = Bytes::from(format!("{CHAT}data: {{"));
    let range = chunk.as_ptr_range();
    let mut pieces = 0;
    reader.push(chunk, &mut |bytes| {
        assert_eq!(bytes.as_ptr(), range.start);
        assert_eq!(bytes.len(), CHAT.len());
        pieces += 1;
    });
    assert_eq!(pieces, 1);
}

#[test]
fn an_endless_event_passes_and_the_next_is_read() {
    let text = "x".repeat(2 * MAX_EVENT_BYTES);
    let stream = format!("data: {{\"id\":\"1\"}}\n\ndata: {{\"text\":\"{text}\"\n}}\n\n{CHAT}");
    for chunk in [1000, 65_536, stream.len()] {
        let pieces = stream.as_bytes().chunks(chunk).map(<[u8]>::to_vec);
        let told = read(StreamReader::new(Api::ChatCompletions, None), pieces);
        assert_eq!(told.out.len(), stream.len());
        assert_eq!(
            told.usage,
            usage(12, Some(8), 3, FieldState::Given),
            "{chunk}"
        );
        assert!(told.end);
    }
    // Held bytes stay bounded, and an error can still follow.
    let mut reader = StreamReader::new(Api::ChatCompletions, None);
    let mut out = Vec::new();
    let mut pushed = 0;
    for piece in stream.as_bytes().chunks(10_000).take(150) {
        pushed += piece.len();
        reader.push(Bytes::copy_from_slice(piece), &mut |bytes| {
            out.extend_from_slice(&bytes)
        });
        assert!(pushed - out.len() <= MAX_EVENT_BYTES);
    }
    reader.abandon(&mut |bytes| out.extend_from_slice(&bytes));
    assert!(out.ends_with(b"xx\n\n"));
    out.clear();
    reader.abandon(&mut |bytes| out.extend_from_slice(&bytes));
    assert!(out.is_empty());
}

#[test]
fn a_line_that_has_begun_to_pass_is_not_blank() {
    let begun = format!("data: {}", "x".repeat(MAX_EVENT_BYTES));
    let pieces = [&begun, "\n", "data: [DONE]\n\n", "data: {\"id\":1}\n\n"];
    let pieces = pieces.map(|piece| piece.as_bytes().to_vec());
    let told = read(StreamReader::new(Api::ChatCompletions, None), pieces);
    assert_eq!((told.end, told.events), (false, 1));
}

#[test]
fn a_mark_before_the_first_event_does_not_shift_names() {
    let stream = "\u{feff}data: {\"model\":\"old\"}\n\n";
    let told = read(
        StreamReader::new(Api::Other, renaming("new")),
        [stream.into()],
    );
    assert_eq!(told.out, stream.replace("old", "new"));
}

#[test]
fn usage_events_can_be_hidden() {
    let told = read(
        StreamReader::new(Api::ChatCompletions, renaming("n")).hiding_usage(),
        [CHAT.as_bytes().to_vec()],
    );
    assert_eq!(told.usage, usage(12, Some(8), 3, FieldState::Given));
    let expected: String = CHAT
        .split_inclusive("\n\n")
        .filter(|event| !event.contains("\"choices\":[]"))
        .map(|event| event.replace("\"model\":\"m\"", "\"model\":\"n\""))
        .collect();
    assert_eq!(told.out, expected);
}
