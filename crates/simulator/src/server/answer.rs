//! Answers in each API's shape, whole or as a stream of events.

mod chat;
mod completion;
mod embedding;
mod generate;
mod message;
mod response;

use serde_json::{Value, json};

use super::{plan::Output, request::Api};
pub(super) use embedding::embeddings;

/// What an answer says about itself.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    /// Id with the API's prefix.
    pub(super) id: String,
    /// The model as requested.
    pub(super) model: String,
    /// Unix time, seconds.
    pub(super) created: u64,
    /// Whether a stream ends with usage.
    pub(super) include_usage: bool,
    /// Whether usage tells cached tokens.
    pub(super) details: bool,
}

/// Tokens of one HTTP request, all its sequences together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: u32,
    pub(super) cached: u32,
    pub(super) output: u32,
}

impl Usage {
    /// OpenAI's usage. As in vLLM, the details are null when nothing was found in the cache.
    fn openai(self, details: bool) -> Value {
        let cached = (details && self.cached > 0).then(|| json!({"cached_tokens": self.cached}));
        json!({
            "prompt_tokens": self.prompt,
            "total_tokens": self.prompt + self.output,
            "completion_tokens": self.output,
            "prompt_tokens_details": cached,
        })
    }
}

/// Writes the events of one stream. Sequences are numbered from 0.
pub(super) trait Frames: Send {
    /// Ahead of the first token. `usage` holds the prompt; nothing has been emitted yet.
    fn begin(&mut self, usage: Usage, out: &mut Vec<u8>);
    /// The token at `index` of a sequence.
    fn token(&mut self, sequence: usize, output: &Output, index: u32, out: &mut Vec<u8>);
    /// After the last token of the last sequence.
    fn end(&mut self, usage: Usage, out: &mut Vec<u8>);
}

/// The stream of an API; none for those that do not stream.
pub(super) fn frames(api: Api, meta: &Meta, outputs: &[Output]) -> Option<Box<dyn Frames>> {
    let frames: Box<dyn Frames> = match api {
        Api::Chat => Box::new(chat::ChatFrames::new(meta, outputs.len())),
        Api::Completions => Box::new(completion::CompletionFrames::new(meta)),
        Api::Responses => Box::new(response::ResponseFrames::new(meta, outputs)),
        Api::Messages => Box::new(message::MessageFrames::new(meta, outputs)),
        Api::Generate => Box::new(generate::GenerateFrames::new(meta)),
        Api::CountTokens | Api::Embeddings | Api::Tokenize => return None,
    };
    Some(frames)
}

/// The whole answer of an API that generates.
pub(super) fn whole(api: Api, meta: &Meta, outputs: &[Output], usage: Usage) -> Value {
    match api {
        Api::Completions => completion::whole(meta, outputs, usage),
        Api::Responses => response::whole(meta, outputs, usage),
        Api::Messages => message::whole(meta, outputs, usage),
        Api::Generate => generate::whole(meta, outputs),
        Api::Chat | Api::CountTokens | Api::Embeddings | Api::Tokenize => {
            chat::whole(meta, outputs, usage)
        }
    }
}

/// Prefix of ids, by API.
pub(super) fn id_prefix(api: Api) -> &'static str {
    match api {
        Api::Chat => "chatcmpl-",
        Api::Completions => "cmpl-",
        Api::Responses => "resp_",
        Api::Messages => "msg_",
        Api::Embeddings => "embd-",
        Api::Generate | Api::CountTokens | Api::Tokenize => "",
    }
}

/// OpenAI's word for why an answer ended.
fn finish_reason(output: &Output) -> &'static str {
    if output.limited { "length" } else { "stop" }
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes `data: ...`; the JSON is one line.
fn data(out: &mut Vec<u8>, json: &str) {
    for part in ["data: ", json, "\n\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes `event: ...` and `data: ...`.
fn event(out: &mut Vec<u8>, name: &str, value: &Value) {
    out.extend_from_slice(format!("event: {name}\n").as_bytes());
    data(out, &value.to_string());
}

/// The end of an OpenAI stream.
fn done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: [DONE]\n\n");
}
