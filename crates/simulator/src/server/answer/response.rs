//! `/v1/responses`: one message with one text, whole or streamed.

use serde_json::{Value, json};

use super::{Frames, Meta, Output, Usage, event};
use crate::server::text;

fn status(output: Option<&Output>) -> &'static str {
    if output.is_some_and(|output| output.limited) {
        "incomplete"
    } else {
        "completed"
    }
}

fn item(id: &str, status: &str, text: Option<&str>) -> Value {
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    json!({
        "id": format!("msg_{id}"),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": text.map(part).into_iter().collect::<Vec<_>>(),
    })
}

fn object(id: &str, model: &str, created: u64, status: &str, output: &[Value]) -> Value {
    let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    json!({
        "id": id,
        "object": "response",
        "created_at": created,
        "status": status,
        "incomplete_details": incomplete,
        "error": null,
        "instructions": null,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": null,
    })
}

fn with_usage(mut response: Value, usage: Usage) -> Value {
    if let Some(fields) = response.as_object_mut() {
        let value = json!({
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt + usage.output,
        });
        fields.insert("usage".to_owned(), value);
    }
    response
}

pub(super) fn whole(meta: &Meta, outputs: &[Output], usage: Usage) -> Value {
    let status = status(outputs.first());
    let text = outputs
        .first()
        .map(|output| text::text(output.seed, output.tokens));
    let items = vec![item(
        &meta.id,
        status,
        Some(text.as_deref().unwrap_or_default()),
    )];
    with_usage(
        object(&meta.id, &meta.model, meta.created, status, &items),
        usage,
    )
}

/// The numbered events of a response.
pub(super) struct ResponseFrames {
    id: String,
    model: String,
    created: u64,
    output: Option<Output>,
    sequence: u64,
}

impl ResponseFrames {
    pub(super) fn new(meta: &Meta, outputs: &[Output]) -> Self {
        Self {
            id: meta.id.clone(),
            model: meta.model.clone(),
            created: meta.created,
            output: outputs.first().copied(),
            sequence: 0,
        }
    }

    fn emit(&mut self, out: &mut Vec<u8>, name: &str, mut value: Value) {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("type".to_owned(), name.into());
            fields.insert("sequence_number".to_owned(), self.sequence.into());
        }
        self.sequence += 1;
        event(out, name, &value);
    }

    fn response(&self, status: &str, items: &[Value]) -> Value {
        object(&self.id, &self.model, self.created, status, items)
    }
}

impl Frames for ResponseFrames {
    fn begin(&mut self, _usage: Usage, out: &mut Vec<u8>) {
        for name in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", &[]);
            self.emit(out, name, json!({"response": response}));
        }
        let item = item(&self.id, "in_progress", None);
        self.emit(
            out,
            "response.output_item.added",
            json!({"output_index": 0, "item": item}),
        );
        let part = json!({
            "item_id": format!("msg_{}", self.id),
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []},
        });
        self.emit(out, "response.content_part.added", part);
    }

    fn token(&mut self, sequence: usize, output: &Output, index: u32, out: &mut Vec<u8>) {
        let delta = json!({
            "item_id": format!("msg_{}", self.id),
            "output_index": sequence,
            "content_index": 0,
            "delta": String::from_utf8_lossy(&text::token(output.seed, index)),
            "logprobs": [],
        });
        self.emit(out, "response.output_text.delta", delta);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        let status = status(self.output.as_ref());
        let text = self
            .output
            .map(|output| text::text(output.seed, output.tokens));
        let text = text.unwrap_or_default();
        let place = |extra: (&str, Value)| {
            let mut value = json!({
                "item_id": format!("msg_{}", self.id),
                "output_index": 0,
                "content_index": 0,
            });
            if let Some(fields) = value.as_object_mut() {
                fields.insert(extra.0.to_owned(), extra.1);
            }
            value
        };
        let part = json!({"type": "output_text", "text": text, "annotations": []});
        let (text_done, part_done) = (place(("text", text.as_str().into())), place(("part", part)));
        let item = item(&self.id, status, Some(&text));
        self.emit(out, "response.output_text.done", text_done);
        self.emit(out, "response.content_part.done", part_done);
        let done = json!({"output_index": 0, "item": item});
        self.emit(out, "response.output_item.done", done);
        let response = with_usage(self.response(status, &[item]), usage);
        // As vLLM does, also when the response says that it is incomplete.
        self.emit(out, "response.completed", json!({"response": response}));
    }
}
