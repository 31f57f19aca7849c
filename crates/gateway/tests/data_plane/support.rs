//! A gateway on free ports, over upstreams that do as the test says.
//!
//! Nothing here waits for time to pass: waiting is for a condition, and [`within`] only keeps a broken
//! gateway from hanging the run.

pub mod body;
pub mod client;
pub mod house;
pub mod manifests;
pub mod raw;
pub mod tls;
pub mod upstream;

pub use body::{Feed, Out, empty, feed, full};
pub use client::{Client, get, post};
pub use house::House;
pub use upstream::Upstream;

use std::time::Duration;

/// Awaits `future`, and fails the test where it would hang.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(30), future).await {
            Ok(output) => output,
            Err(_) => panic!("hangs: {caller}"),
        }
    }
}

/// Awaits that `condition` holds, looking again and again.
#[track_caller]
pub fn until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    within(async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

/// A chat request for `model`.
pub fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#)
}

/// The same, as a stream.
pub fn chat_stream(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#
    )
}

/// One event of a chat stream.
pub fn event(model: &str, content: &str) -> String {
    format!(
        "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n"
    )
}

pub const DONE: &str = "data: [DONE]\n\n";
pub const CHAT: &str = "/v1/chat/completions";
