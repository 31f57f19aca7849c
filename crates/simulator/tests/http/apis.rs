//! Each endpoint's shape.

use http::{Method, StatusCode};
use serde_json::json;
use simulator::SimConfig;

use crate::harness::{config, start};

fn long_text() -> String {
    "The quick brown fox. ".repeat(100)
}

#[tokio::test]
async fn chat_tells_usage_and_finds_repeated_prompts() {
    let server = start(config()).await;
    let body = json!({
        "model": "base",
        "messages": [{"role": "user", "content": long_text()}],
        "max_tokens": 7,
        "ignore_eos": true,
    });
    let (status, first) = server.post("/v1/chat/completions", &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(first["object"], "chat.completion");
    assert_eq!(first["model"], "base");
    assert_eq!(first["choices"][0]["finish_reason"], "length");
    assert_eq!(
        first["choices"][0]["message"]["content"]
            .as_str()
            .map(str::len),
        Some(28)
    );
    assert_eq!(first["usage"]["completion_tokens"], 7);
    assert_eq!(first["usage"]["prompt_tokens_details"], json!(null));
    // 2,100 bytes of text and 28 of template, four bytes a token.
    let prompt = first["usage"]["prompt_tokens"].as_u64().expect("a number");
    assert!((525..540).contains(&prompt), "{prompt}");
    let (_, second) = server.post("/v1/chat/completions", &body).await;
    let cached = &second["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert_eq!(cached.as_u64(), Some(prompt / 16 * 16));
    assert_eq!(
        first["choices"], second["choices"],
        "equal prompts have equal answers"
    );
}

#[tokio::test]
async fn the_next_turn_finds_the_answer_in_the_cache() {
    let server = start(config()).await;
    let mut messages = vec![json!({"role": "user", "content": "hello"})];
    let ask = |messages: &[serde_json::Value]| json!({"messages": messages, "max_tokens": 400, "ignore_eos": true});
    let (_, first) = server.post("/v1/chat/completions", &ask(&messages)).await;
    let answer = first["choices"][0]["message"]["content"].clone();
    messages.push(json!({"role": "assistant", "content": answer}));
    messages.push(json!({"role": "user", "content": "and then?"}));
    let (_, second) = server.post("/v1/chat/completions", &ask(&messages)).await;
    let cached = second["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
    assert_eq!(
        cached,
        Some((9 + 400) / 16 * 16),
        "the answer was found too"
    );
}

#[tokio::test]
async fn models_adapters_and_unknown_names() {
    let server = start(config()).await;
    let list = || async {
        let (_, text) = server.get("/v1/models").await;
        let value: serde_json::Value = serde_json::from_str(&text).expect("json");
        let entry = |model: &serde_json::Value| {
            (
                model["id"].clone(),
                model["parent"].clone(),
                model["root"].clone(),
            )
        };
        value["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(entry)
            .collect::<Vec<_>>()
    };
    let row = |id: &str, parent: Option<&str>, root: &str| (json!(id), json!(parent), json!(root));
    let before = [
        row("base", None, "base"),
        row("tuned", Some("base"), "tuned"),
    ];
    assert_eq!(list().await, before);
    let ask = |model: &str| json!({"model": model, "prompt": "x", "max_tokens": 1});
    let (status, body) = server.post("/v1/completions", &ask("new")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let error = json!({
        "message": "The model `new` does not exist.",
        "type": "NotFoundError", "param": "model", "code": 404,
    });
    assert_eq!(body["error"], error);
    let adapter = json!({"lora_name": "new", "lora_path": "store/new"}).to_string();
    for (path, status) in [
        ("/v1/unload_lora_adapter", StatusCode::NOT_FOUND),
        ("/v1/load_lora_adapter", StatusCode::OK),
        ("/v1/load_lora_adapter", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(server.post_text(path, &adapter).await.0, status, "{path}");
    }
    assert!(
        list()
            .await
            .contains(&row("new", Some("base"), "store/new"))
    );
    let (status, body) = server.post("/v1/completions", &ask("new")).await;
    assert_eq!((status, &body["model"]), (StatusCode::OK, &json!("new")));
    assert_eq!(
        server
            .post_text("/v1/unload_lora_adapter", &adapter)
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        server.post("/v1/completions", &ask("new")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(list().await, before);
}

#[tokio::test]
async fn completions_take_texts_and_token_ids_and_several_of_them() {
    let server = start(config()).await;
    let table = [
        (json!("abcdefgh"), 1, 2),
        (json!(["abcd", "efgh", "ijkl"]), 3, 3),
        (json!([1, 2, 3]), 1, 3),
        (json!([[1, 2], [3]]), 2, 3),
    ];
    for (prompt, choices, tokens) in table {
        let body = json!({"prompt": prompt, "max_tokens": 2, "ignore_eos": true});
        let (_, answer) = server.post("/v1/completions", &body).await;
        assert_eq!(
            answer["choices"].as_array().map(Vec::len),
            Some(choices),
            "{prompt}"
        );
        assert_eq!(answer["usage"]["prompt_tokens"], tokens, "{prompt}");
        assert_eq!(
            answer["usage"]["completion_tokens"],
            2 * choices,
            "{prompt}"
        );
    }
    let body = json!({"prompt": "x", "n": 3, "max_tokens": 2, "ignore_eos": true});
    let (_, answer) = server.post("/v1/completions", &body).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 1, "a prompt counts once");
    assert_eq!(answer["choices"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn anthropic_messages_and_their_errors() {
    let server = start(config()).await;
    let mut body = json!({
        "model": "tuned",
        "max_tokens": 5,
        "system": [{"type": "text", "text": long_text()}],
        "messages": [{"role": "user", "content": "hi"}],
        "ignore_eos": true,
    });
    let (_, first) = server.post("/v1/messages", &body).await;
    assert_eq!(
        (&first["type"], &first["model"]),
        (&json!("message"), &json!("tuned"))
    );
    assert_eq!(first["stop_reason"], "max_tokens");
    assert_eq!(first["content"][0]["type"], "text");
    let (_, second) = server.post("/v1/messages", &body).await;
    let (input, read) = (
        &second["usage"]["input_tokens"],
        &second["usage"]["cache_read_input_tokens"],
    );
    let whole = first["usage"]["input_tokens"].as_u64();
    assert!(read.as_u64() >= Some(500));
    assert_eq!(
        input
            .as_u64()
            .zip(read.as_u64())
            .map(|(input, read)| input + read),
        whole
    );
    let (_, count) = server.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(count["input_tokens"].as_u64(), whole);
    body["model"] = json!("nobody");
    let (status, error) = server.post("/v1/messages", &body).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        (&error["type"], &error["error"]["type"]),
        (&json!("error"), &json!("not_found_error"))
    );
}

#[tokio::test]
async fn embeddings_as_numbers_and_as_base64() {
    let server = start(config()).await;
    let (_, floats) = server
        .post(
            "/v1/embeddings",
            &json!({"input": ["a b c", "d"], "dimensions": 8}),
        )
        .await;
    assert_eq!(floats["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        floats["data"][1]["embedding"].as_array().map(Vec::len),
        Some(8)
    );
    assert_eq!(floats["usage"]["total_tokens"], 3);
    let body = json!({"input": "d", "dimensions": 8, "encoding_format": "base64"});
    let (_, encoded) = server.post("/v1/embeddings", &body).await;
    // 32 bytes in base64.
    assert_eq!(
        encoded["data"][0]["embedding"].as_str().map(str::len),
        Some(44)
    );
    assert_eq!(server.handle.stats().generation_tokens, 0);
}

#[tokio::test]
async fn generate_and_tokenize_speak_token_ids() {
    let server = start(config()).await;
    let (_, tokens) = server
        .post("/tokenize", &json!({"prompt": "abcdefghi"}))
        .await;
    assert_eq!(tokens["count"], 3);
    let ids = tokens["tokens"].clone();
    let body = json!({"token_ids": ids, "sampling_params": {"max_tokens": 3, "ignore_eos": true}});
    let (_, answer) = server.post("/inference/v1/generate", &body).await;
    assert_eq!(
        answer["choices"][0]["token_ids"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn responses_have_one_message() {
    let server = start(config()).await;
    let body =
        json!({"model": "base", "input": "hello", "max_output_tokens": 3, "ignore_eos": true});
    let (_, answer) = server.post("/v1/responses", &body).await;
    assert_eq!(
        (&answer["object"], &answer["status"]),
        (&json!("response"), &json!("incomplete"))
    );
    assert_eq!(
        answer["output"][0]["content"][0]["text"]
            .as_str()
            .map(str::len),
        Some(12)
    );
    assert_eq!(answer["usage"]["output_tokens"], 3);
}

#[tokio::test]
async fn what_is_wrong_gets_its_status_and_every_answer_its_pod() {
    let server = start(SimConfig {
        max_body_bytes: 2000,
        ..config()
    })
    .await;
    let big = json!({"prompt": "x".repeat(3000)}).to_string();
    let table = [
        (Method::POST, "/v1/chat/completions", "{", 400),
        (Method::POST, "/v1/chat/completions", "", 400),
        (Method::POST, "/v1/completions", big.as_str(), 413),
        (Method::GET, "/v1/completions", "", 405),
        (Method::POST, "/v1/nothing", "{}", 404),
        (Method::GET, "/health", "", 200),
        (Method::POST, "/v1/load_lora_adapter", "{}", 400),
    ];
    for (method, path, body, status) in table {
        let mut request = server.request(method, path, body);
        request
            .headers_mut()
            .insert("x-request-id", "r-1".parse().expect("a value"));
        let response = server.client.request(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(response.headers()["x-inference-pod"], "sim-7");
        assert_eq!(response.headers()["x-request-id"], "r-1");
    }
}

#[tokio::test]
async fn metrics_bear_vllms_names() {
    let server = start(config()).await;
    let body = json!({
        "model": "tuned", "prompt": long_text(), "max_tokens": 5, "ignore_eos": true,
    });
    for _ in 0..2 {
        server.post("/v1/completions", &body).await;
    }
    server.idle().await;
    let (_, text) = server.get("/metrics").await;
    let labels = r#"{engine="0",model_name="base"}"#;
    for line in [
        format!("vllm:num_requests_running{labels} 0.0"),
        format!("vllm:num_requests_waiting{labels} 0.0"),
        format!("vllm:kv_cache_usage_perc{labels} 0.0"),
        format!("vllm:prefix_cache_queries_total{labels} 1050.0"),
        format!("vllm:prefix_cache_hits_total{labels} 512.0"),
        format!("vllm:prompt_tokens_total{labels} 1050.0"),
        format!("vllm:generation_tokens_total{labels} 10.0"),
        format!("vllm:time_to_first_token_seconds_count{labels} 2.0"),
        format!("vllm:inter_token_latency_seconds_count{labels} 8.0"),
        r#"vllm:request_success_total{engine="0",model_name="base",finished_reason="length"} 2.0"#
            .to_owned(),
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.contains(r#"block_size="16""#) && text.contains(r#"num_gpu_blocks="27394""#));
    // The row with the greatest value is the one that holds now: nobody runs.
    let rows = text
        .lines()
        .filter(|line| line.starts_with("vllm:lora_requests_info{"));
    let value = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    let latest = rows
        .clone()
        .max_by(|a, b| value(a).partial_cmp(&value(b)).expect("numbers"));
    assert!(
        latest.is_some_and(|line| line.contains(r#"running_lora_adapters="","#)),
        "{text}"
    );
    assert!(
        rows.into_iter()
            .any(|line| line.contains(r#"running_lora_adapters="tuned""#))
    );
}
