//! `/v1/chat/completions`.

use serde_json::{Value, json};

use super::{Frames, Meta, Output, Usage, data, done, finish_reason, quoted};
use crate::server::text;

pub(super) fn whole(meta: &Meta, outputs: &[Output], usage: Usage) -> Value {
    let choice = |(index, output): (usize, &Output)| {
        json!({
            "index": index,
            "message": {
                "role": "assistant",
                "content": text::text(output.seed, output.tokens),
                "refusal": null,
                "tool_calls": [],
            },
            "logprobs": null,
            "finish_reason": finish_reason(output),
            "stop_reason": null,
        })
    };
    json!({
        "id": meta.id,
        "object": "chat.completion",
        "created": meta.created,
        "model": meta.model,
        "choices": outputs.iter().enumerate().map(choice).collect::<Vec<_>>(),
        "usage": usage.openai(meta.details),
    })
}

/// Chunks that differ in a few bytes only: all around those is written once.
pub(super) struct ChatFrames {
    head: String,
    sequences: usize,
    include_usage: bool,
    details: bool,
}

impl ChatFrames {
    pub(super) fn new(meta: &Meta, sequences: usize) -> Self {
        let head = format!(
            r#"{{"id":{},"object":"chat.completion.chunk","created":{},"model":{},"#,
            quoted(&meta.id),
            meta.created,
            quoted(&meta.model),
        );
        let (include_usage, details) = (meta.include_usage, meta.details);
        Self {
            head,
            sequences,
            include_usage,
            details,
        }
    }

    fn choice(&self, out: &mut Vec<u8>, index: usize, delta: &str, finish: &str) {
        let choice = format!(
            r#""choices":[{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
        );
        for part in ["data: ", &self.head, &choice, "\n\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

impl Frames for ChatFrames {
    fn begin(&mut self, _usage: Usage, out: &mut Vec<u8>) {
        for index in 0..self.sequences {
            self.choice(out, index, r#"{"role":"assistant","content":""}"#, "null");
        }
    }

    fn token(&mut self, sequence: usize, output: &Output, index: u32, out: &mut Vec<u8>) {
        let token = text::token(output.seed, index);
        let delta = format!(r#"{{"content":"{}"}}"#, String::from_utf8_lossy(&token));
        let last = index + 1 == output.tokens;
        let finish = if last {
            quoted(finish_reason(output))
        } else {
            "null".to_owned()
        };
        self.choice(out, sequence, &delta, &finish);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        if self.include_usage {
            let usage = usage.openai(self.details);
            let tail = format!("{}\"choices\":[],\"usage\":{usage}}}", self.head);
            data(out, &tail);
        }
        done(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chunks are put together by hand, so hold them against a JSON parser.
    #[test]
    fn every_chunk_is_json() {
        let meta = Meta {
            id: "chatcmpl-\"x\"".to_owned(),
            model: "a\\b\"c".to_owned(),
            created: 7,
            include_usage: true,
            details: true,
        };
        let output = Output {
            seed: 1,
            tokens: 3,
            limited: true,
            prompt_tokens: 4,
        };
        let mut frames = ChatFrames::new(&meta, 2);
        let mut out = Vec::new();
        let usage = Usage {
            prompt: 4,
            cached: 2,
            output: 3,
        };
        frames.begin(usage, &mut out);
        (0..3).for_each(|index| frames.token(0, &output, index, &mut out));
        frames.end(usage, &mut out);
        let text = String::from_utf8(out).expect("text");
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 2 + 3 + 2);
        for event in &events[..6] {
            let json = event.strip_prefix("data: ").expect("data");
            let value: Value = serde_json::from_str(json).expect("json");
            assert_eq!(value["model"], "a\\b\"c");
        }
        assert!(events[4].contains(r#""finish_reason":"length""#));
        assert!(events[5].contains(r#""cached_tokens":2"#));
        assert_eq!(events[6], "data: [DONE]");
    }
}
