//! Many at once.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::harness::{config, openai, start};

#[tokio::test]
async fn three_hundred_streams_at_once_all_finish_and_leave_nothing() {
    let server = start(config()).await;
    let streams = (0..300).map(|number| {
        let body = json!({
            "model": if number % 3 == 0 { "tuned" } else { "base" },
            "messages": [{"role": "user", "content": format!("{} {}", "shared ".repeat(60), number)}],
            "max_tokens": 20, "ignore_eos": true, "stream": true,
            "stream_options": {"include_usage": true},
        });
        let server = &server;
        async move {
            let chunks = openai(&server.events("/v1/chat/completions", &body).await);
            let usage = chunks.last().expect("usage")["usage"].clone();
            assert_eq!(usage["completion_tokens"], 20);
            usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0)
        }
    });
    let cached: u64 = join_all(streams).await.into_iter().sum();
    server.idle().await;
    let stats = server.handle.stats();
    assert_eq!(
        (stats.received, stats.finished, stats.aborted),
        (300, 300, 0)
    );
    assert_eq!(stats.generation_tokens, 300 * 20);
    assert_eq!(stats.cache_hits, cached, "usage and metrics tell the same");
}

#[tokio::test]
async fn a_large_prompt_is_taken_and_found_again() {
    let server = start(config()).await;
    let body = json!({"prompt": "all work and no play ".repeat(15_000), "max_tokens": 1});
    for cached in [None, Some(78_736)] {
        let (status, answer) = server.post("/v1/completions", &body).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["usage"]["prompt_tokens"], 78_750);
        let details = &answer["usage"]["prompt_tokens_details"]["cached_tokens"];
        assert_eq!(details.as_u64(), cached);
    }
}
