//! Anthropic's `/v1/messages`.

use serde_json::{Value, json};

use super::{Frames, Meta, Output, Usage, event};
use crate::server::text;

fn stop_reason(output: Option<&Output>) -> &'static str {
    if output.is_some_and(|output| output.limited) {
        "max_tokens"
    } else {
        "end_turn"
    }
}

/// Anthropic counts tokens read from the cache apart from the input.
fn usage_value(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}

pub(super) fn whole(meta: &Meta, outputs: &[Output], usage: Usage) -> Value {
    let block =
        |output: &Output| json!({"type": "text", "text": text::text(output.seed, output.tokens)});
    json!({
        "id": meta.id,
        "type": "message",
        "role": "assistant",
        "model": meta.model,
        "content": outputs.iter().map(block).collect::<Vec<_>>(),
        "stop_reason": stop_reason(outputs.first()),
        "stop_sequence": null,
        "usage": usage_value(usage),
    })
}

/// The typed events of a message with one text block.
pub(super) struct MessageFrames {
    id: String,
    model: String,
    stop_reason: &'static str,
}

impl MessageFrames {
    pub(super) fn new(meta: &Meta, outputs: &[Output]) -> Self {
        let stop_reason = stop_reason(outputs.first());
        Self {
            id: meta.id.clone(),
            model: meta.model.clone(),
            stop_reason,
        }
    }
}

impl Frames for MessageFrames {
    fn begin(&mut self, usage: Usage, out: &mut Vec<u8>) {
        let message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage_value(usage),
        });
        event(
            out,
            "message_start",
            &json!({"type": "message_start", "message": message}),
        );
        let block = json!({
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        });
        event(out, "content_block_start", &block);
    }

    fn token(&mut self, sequence: usize, output: &Output, index: u32, out: &mut Vec<u8>) {
        let token = text::token(output.seed, index);
        let delta = json!({
            "type": "content_block_delta",
            "index": sequence,
            "delta": {"type": "text_delta", "text": String::from_utf8_lossy(&token)},
        });
        event(out, "content_block_delta", &delta);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        let stop = json!({"type": "content_block_stop", "index": 0});
        event(out, "content_block_stop", &stop);
        let delta = json!({
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": null},
            "usage": usage_value(usage),
        });
        event(out, "message_delta", &delta);
        event(out, "message_stop", &json!({"type": "message_stop"}));
    }
}
