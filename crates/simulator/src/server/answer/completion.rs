//! `/v1/completions`.

use serde_json::{Value, json};

use super::{Frames, Meta, Output, Usage, data, done, finish_reason, quoted};
use crate::server::text;

pub(super) fn whole(meta: &Meta, outputs: &[Output], usage: Usage) -> Value {
    let choice = |(index, output): (usize, &Output)| {
        json!({
            "index": index,
            "text": text::text(output.seed, output.tokens),
            "logprobs": null,
            "finish_reason": finish_reason(output),
            "stop_reason": null,
        })
    };
    json!({
        "id": meta.id,
        "object": "text_completion",
        "created": meta.created,
        "model": meta.model,
        "choices": outputs.iter().enumerate().map(choice).collect::<Vec<_>>(),
        "usage": usage.openai(meta.details),
    })
}

/// One chunk for each token.
pub(super) struct CompletionFrames {
    head: String,
    include_usage: bool,
    details: bool,
}

impl CompletionFrames {
    pub(super) fn new(meta: &Meta) -> Self {
        let head = format!(
            r#"{{"id":{},"object":"text_completion","created":{},"model":{},"#,
            quoted(&meta.id),
            meta.created,
            quoted(&meta.model),
        );
        Self {
            head,
            include_usage: meta.include_usage,
            details: meta.details,
        }
    }
}

impl Frames for CompletionFrames {
    fn begin(&mut self, _usage: Usage, _out: &mut Vec<u8>) {}

    fn token(&mut self, sequence: usize, output: &Output, index: u32, out: &mut Vec<u8>) {
        let token = text::token(output.seed, index);
        let last = index + 1 == output.tokens;
        let finish = if last {
            quoted(finish_reason(output))
        } else {
            "null".to_owned()
        };
        let json = format!(
            r#"{}"choices":[{{"index":{sequence},"text":"{}","logprobs":null,"finish_reason":{finish},"stop_reason":null}}]}}"#,
            self.head,
            String::from_utf8_lossy(&token),
        );
        data(out, &json);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        if self.include_usage {
            let usage = usage.openai(self.details);
            data(
                out,
                &format!("{}\"choices\":[],\"usage\":{usage}}}", self.head),
            );
        }
        done(out);
    }
}
