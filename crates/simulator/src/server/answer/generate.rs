//! vLLM's `/inference/v1/generate`: token ids in, token ids out.

use serde_json::{Value, json};

use super::{Frames, Meta, Output, Usage, data, done, finish_reason};
use crate::server::text;

fn body(id: &str, choices: &[Value]) -> Value {
    json!({
        "request_id": id,
        "choices": choices,
        "prompt_logprobs": null,
        "kv_transfer_params": null,
    })
}

pub(super) fn whole(meta: &Meta, outputs: &[Output]) -> Value {
    let choice = |(index, output): (usize, &Output)| {
        json!({
            "index": index,
            "logprobs": null,
            "finish_reason": finish_reason(output),
            "token_ids": text::ids(output.seed, 0..output.tokens),
        })
    };
    let choices: Vec<Value> = outputs.iter().enumerate().map(choice).collect();
    body(&meta.id, &choices)
}

/// One event for each token.
pub(super) struct GenerateFrames {
    id: String,
}

impl GenerateFrames {
    pub(super) fn new(meta: &Meta) -> Self {
        Self {
            id: meta.id.clone(),
        }
    }
}

impl Frames for GenerateFrames {
    fn begin(&mut self, _usage: Usage, _out: &mut Vec<u8>) {}

    fn token(&mut self, sequence: usize, output: &Output, index: u32, out: &mut Vec<u8>) {
        let last = index + 1 == output.tokens;
        let choice = json!({
            "index": sequence,
            "logprobs": null,
            "finish_reason": last.then(|| finish_reason(output)),
            "token_ids": text::ids(output.seed, index..index + 1),
        });
        data(out, &body(&self.id, &[choice]).to_string());
    }

    fn end(&mut self, _usage: Usage, out: &mut Vec<u8>) {
        done(out);
    }
}
