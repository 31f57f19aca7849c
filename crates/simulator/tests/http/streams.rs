//! Streamed answers: their events, their end, and clients that do not wait for it.

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use simulator::SimConfig;

use crate::harness::{config, json as parse, openai, read, start};

fn text(events: &[Value], pointer: &str) -> String {
    events
        .iter()
        .filter_map(|event| event.pointer(pointer)?.as_str())
        .collect()
}

#[tokio::test]
async fn a_chat_stream_says_the_same_as_the_whole_answer() {
    let server = start(config()).await;
    let mut body = json!({
        "model": "tuned",
        "messages": [{"role": "user", "content": "tell me"}],
        "max_tokens": 30,
    });
    let (_, whole) = server.post("/v1/chat/completions", &body).await;
    body["stream"] = json!(true);
    let plain = openai(&server.events("/v1/chat/completions", &body).await);
    assert!(plain.iter().all(|chunk| chunk["usage"].is_null()));
    body["stream_options"] = json!({"include_usage": true});
    let chunks = openai(&server.events("/v1/chat/completions", &body).await);
    assert_eq!(chunks.len(), plain.len() + 1);
    assert!(chunks.iter().all(|chunk| chunk["model"] == "tuned"));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let streamed = text(&chunks, "/choices/0/delta/content");
    assert_eq!(whole["choices"][0]["message"]["content"], streamed);
    let reasons = text(&chunks, "/choices/0/finish_reason");
    assert_eq!(whole["choices"][0]["finish_reason"], reasons, "told once");
    let last = chunks.last().expect("usage");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"]["completion_tokens"],
        whole["usage"]["completion_tokens"]
    );
}

#[tokio::test]
async fn several_choices_share_a_stream() {
    let server = start(config()).await;
    let body = json!({
        "prompt": ["a", "b"], "n": 2, "max_tokens": 3, "ignore_eos": true, "stream": true,
    });
    let chunks = openai(&server.events("/v1/completions", &body).await);
    let mut tokens = [0; 4];
    for chunk in &chunks {
        tokens[chunk["choices"][0]["index"].as_u64().expect("an index") as usize] += 1;
    }
    assert_eq!(tokens, [3; 4]);
}

#[tokio::test]
async fn a_message_stream_has_anthropics_events_in_order() {
    let server = start(config()).await;
    let body = json!({
        "model": "base", "max_tokens": 4, "ignore_eos": true, "stream": true,
        "messages": [{"role": "user", "content": "word ".repeat(100)}],
    });
    for cached in [0, 128] {
        let events = parse(&server.events("/v1/messages", &body).await);
        let kinds: Vec<&str> = events
            .iter()
            .filter_map(|event| event["type"].as_str())
            .collect();
        let expected = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ];
        assert_eq!(kinds, expected);
        let usage = &events[0]["message"]["usage"];
        assert_eq!(usage["cache_read_input_tokens"], cached);
        assert_eq!(events[7]["usage"]["output_tokens"], 4);
        assert_eq!(events[7]["delta"]["stop_reason"], "max_tokens");
    }
}

#[tokio::test]
async fn a_response_stream_numbers_its_events() {
    let server = start(config()).await;
    let body = json!({
        "input": "hello", "max_output_tokens": 4, "ignore_eos": true, "stream": true,
    });
    let events = parse(&server.events("/v1/responses", &body).await);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    assert_eq!(events[0]["type"], "response.created");
    let last = events.last().expect("events");
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["status"], "incomplete");
    assert_eq!(
        last["response"]["output"][0]["content"][0]["text"],
        text(&events, "/delta")
    );
}

#[tokio::test]
async fn a_generate_stream_gives_the_ids_of_the_whole_answer() {
    let server = start(config()).await;
    let mut body = json!({"token_ids": [5, 6], "sampling_params": {"max_tokens": 6}});
    let (_, whole) = server.post("/inference/v1/generate", &body).await;
    body["stream"] = json!(true);
    let chunks = openai(&server.events("/inference/v1/generate", &body).await);
    let ids: Vec<Value> = chunks
        .iter()
        .flat_map(|chunk| {
            chunk["choices"][0]["token_ids"]
                .as_array()
                .expect("ids")
                .clone()
        })
        .collect();
    assert_eq!(whole["choices"][0]["token_ids"], json!(ids));
}

/// An endless answer at real time, so that only an abort can end it.
fn endless(prompt: &str, stream: bool) -> Value {
    json!({"prompt": prompt, "max_tokens": 100_000, "ignore_eos": true, "stream": stream})
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_frees_its_blocks() {
    let server = start(SimConfig {
        time_scale: 1.0,
        ..config()
    })
    .await;
    let mut response = server
        .open("/v1/completions", &endless("gone soon", true))
        .await;
    response.frame().await.expect("a frame").expect("data");
    assert_eq!(server.handle.stats().live, 1);
    drop(response);
    server.idle().await;
    assert_eq!(server.handle.stats().aborted, 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_frees_its_blocks() {
    let server = start(SimConfig {
        time_scale: 1.0,
        ..config()
    })
    .await;
    let request = server.request(
        Method::POST,
        "/v1/completions",
        &endless("x", false).to_string(),
    );
    let waiting = tokio::spawn(server.client.request(request));
    server.until(|stats| stats.live == 1).await;
    waiting.abort();
    server.idle().await;
    assert_eq!(server.handle.stats().aborted, 1);
}

#[tokio::test]
async fn cleartext_http2_carries_many_streams_and_their_aborts() {
    let server = start(SimConfig {
        time_scale: 1.0,
        ..config()
    })
    .await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut open = Vec::new();
    for number in 0..50 {
        let body = endless(&format!("{number}"), true).to_string();
        let request = server.request(Method::POST, "/v1/completions", &body);
        let response = client.request(request).await.expect("an answer");
        assert_eq!(
            (response.status(), response.version()),
            (StatusCode::OK, http::Version::HTTP_2)
        );
        open.push(response);
    }
    let mut first = open.remove(0);
    first.frame().await.expect("a frame").expect("data");
    assert_eq!(server.handle.stats().live, 50);
    drop(open);
    server.until(|stats| stats.live == 1).await;
    drop(first);
    server.idle().await;
}

#[tokio::test]
async fn shutdown_lets_streams_finish_and_takes_no_new_ones() {
    let server = start(SimConfig {
        time_scale: 20.0,
        ..config()
    })
    .await;
    let body = json!({"prompt": "x", "max_tokens": 200, "ignore_eos": true, "stream": true});
    let mut response = server.open("/v1/completions", &body).await;
    response.frame().await.expect("a frame").expect("data");
    server.shutdown.cancel();
    let (_, rest) = read(response).await;
    assert!(rest.ends_with("data: [DONE]\n\n"));
    server.task.await.expect("no panic").expect("a clean end");
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err()
    );
}
