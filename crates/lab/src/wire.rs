//! Requests as bytes: a prompt made of text spans, in the shape of the chosen API.

use std::sync::Arc;

use bytes::Bytes;

use crate::text::{BYTES_PER_TOKEN, Span};

/// Which API the generator speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI chat completions, `POST /v1/chat/completions`.
    #[default]
    Chat,
    /// OpenAI text completions, `POST /v1/completions`.
    Completions,
    /// Anthropic messages, `POST /v1/messages`.
    Messages,
}

impl Api {
    /// The path below the endpoint's base path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Api::Chat => "/v1/chat/completions",
            Api::Completions => "/v1/completions",
            Api::Messages => "/v1/messages",
        }
    }

    /// The same API in the words of the payload reader.
    #[must_use]
    pub fn dialect(self) -> payload::Api {
        match self {
            Api::Chat => payload::Api::ChatCompletions,
            Api::Completions => payload::Api::Completions,
            Api::Messages => payload::Api::AnthropicMessages,
        }
    }
}

/// What a request asks, as spans of generated text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The system message; prepended to the text where the API has none. May be empty.
    pub system: Vec<Span>,
    /// The user's message.
    pub user: Vec<Span>,
}

impl Prompt {
    /// Length in tokens of [`BYTES_PER_TOKEN`] bytes, without what a chat template adds.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.system
            .iter()
            .chain(&self.user)
            .map(|span| u64::from(span.tokens))
            .sum()
    }
}

/// One request to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Shot {
    /// When to send it, in real time from the start of the run; ignored by closed-loop pacing.
    pub at: std::time::Duration,
    /// A label under which the report groups requests. Use few different ones.
    pub class: Arc<str>,
    /// The `model` field: a base model or an adapter.
    pub model: Arc<str>,
    /// What to ask.
    pub prompt: Prompt,
    /// Limit of the answer's length.
    pub max_tokens: u32,
}

/// How to ask, the same for every request of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The API.
    pub api: Api,
    /// Ask for a stream (server-sent events) with usage at its end.
    pub stream: bool,
    /// Set vLLM's `ignore_eos`, so that answers are exactly as long as asked. Strict servers
    /// refuse the field.
    pub ignore_eos: bool,
}

impl Wire {
    /// The request body.
    #[must_use]
    pub fn body(&self, shot: &Shot) -> Bytes {
        let text = usize::try_from(shot.prompt.tokens()).unwrap_or(0) * BYTES_PER_TOKEN;
        let mut out = Vec::with_capacity(text + 256);
        out.extend_from_slice(b"{\"model\":");
        string(&mut out, &shot.model);
        let max_tokens = shot.max_tokens.max(1);
        out.extend_from_slice(format!(",\"max_tokens\":{max_tokens}").as_bytes());
        if self.stream {
            out.extend_from_slice(b",\"stream\":true");
            if self.api != Api::Messages {
                out.extend_from_slice(b",\"stream_options\":{\"include_usage\":true}");
            }
        }
        if self.ignore_eos {
            out.extend_from_slice(b",\"ignore_eos\":true");
        }
        match self.api {
            Api::Chat => chat(&mut out, &shot.prompt),
            Api::Completions => completion(&mut out, &shot.prompt),
            Api::Messages => messages(&mut out, &shot.prompt),
        }
        out.push(b'}');
        Bytes::from(out)
    }
}

fn chat(out: &mut Vec<u8>, prompt: &Prompt) {
    out.extend_from_slice(b",\"messages\":[");
    if !prompt.system.is_empty() {
        out.extend_from_slice(b"{\"role\":\"system\",\"content\":\"");
        spans(out, &prompt.system);
        out.extend_from_slice(b"\"},");
    }
    user_message(out, prompt);
    out.push(b']');
}

fn messages(out: &mut Vec<u8>, prompt: &Prompt) {
    if !prompt.system.is_empty() {
        out.extend_from_slice(b",\"system\":\"");
        spans(out, &prompt.system);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"messages\":[");
    user_message(out, prompt);
    out.push(b']');
}

fn completion(out: &mut Vec<u8>, prompt: &Prompt) {
    out.extend_from_slice(b",\"prompt\":\"");
    spans(out, &prompt.system);
    spans(out, &prompt.user);
    out.push(b'"');
}

fn user_message(out: &mut Vec<u8>, prompt: &Prompt) {
    out.extend_from_slice(b"{\"role\":\"user\",\"content\":\"");
    spans(out, &prompt.user);
    out.extend_from_slice(b"\"}");
}

/// Span text is letters, digits and spaces, so it stands in JSON as it is.
fn spans(out: &mut Vec<u8>, spans: &[Span]) {
    for span in spans {
        span.write(out);
    }
}

fn string(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn shot() -> Shot {
        Shot {
            at: std::time::Duration::ZERO,
            class: "c".into(),
            model: "a\"b".into(),
            prompt: Prompt {
                system: vec![Span { id: 1, tokens: 2 }],
                user: vec![Span { id: 2, tokens: 1 }, Span { id: 3, tokens: 1 }],
            },
            max_tokens: 0,
        }
    }

    fn text(ids: &[(u64, u32)]) -> String {
        let mut out = Vec::new();
        ids.iter()
            .for_each(|&(id, tokens)| Span { id, tokens }.write(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bodies_have_the_shape_of_their_api() {
        let (system, user) = (text(&[(1, 2)]), text(&[(2, 1), (3, 1)]));
        let options = json!({"include_usage": true});
        let cases = [
            (
                Api::Chat,
                json!({"model": "a\"b", "max_tokens": 1, "stream": true, "stream_options": options,
                       "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]}),
            ),
            (
                Api::Completions,
                json!({"model": "a\"b", "max_tokens": 1, "stream": true, "stream_options": options,
                       "prompt": format!("{system}{user}")}),
            ),
            (
                Api::Messages,
                json!({"model": "a\"b", "max_tokens": 1, "stream": true, "system": system,
                       "messages": [{"role": "user", "content": user}]}),
            ),
        ];
        for (api, expected) in cases {
            let body = Wire {
                api,
                stream: true,
                ignore_eos: false,
            }
            .body(&shot());
            assert_eq!(
                serde_json::from_slice::<Value>(&body).unwrap(),
                expected,
                "{api:?}"
            );
        }
    }

    #[test]
    fn options_are_left_out_unless_asked_for() {
        let body = Wire {
            api: Api::Chat,
            stream: false,
            ignore_eos: true,
        }
        .body(&shot());
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body.get("stream"), None);
        assert_eq!(body.get("stream_options"), None);
        assert_eq!(body["ignore_eos"], true);
    }
}
