//! The messages of one exchange, encoded and framed once.

use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration,
};
use prost::Message;

use super::options::{BodyMode, EppOptions};
use crate::text;

/// Most bytes of body in one message; Envoy cuts at its buffer's size.
const PIECE_BYTES: usize = 64 * 1024;

/// Everything that is sent, but for what differs between requests.
pub(super) struct Messages {
    options: EppOptions,
    prompt: String,
    pub(super) response_head: Bytes,
    /// The events of the answer, each a message; the last one ends the body.
    pub(super) events: Vec<Bytes>,
}

/// The request half of one exchange.
pub(super) struct RequestMessages {
    pub(super) head: Bytes,
    pub(super) body: Vec<Bytes>,
}

/// One message with gRPC's five bytes before it: not compressed, and the length.
fn framed(message: &ProcessingRequest) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // The buffer grows, so that this cannot fail.
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

fn of(request: Request) -> ProcessingRequest {
    ProcessingRequest {
        request: Some(request),
        ..ProcessingRequest::default()
    }
}

fn head(headers: &[(&str, &str)]) -> HttpHeaders {
    let headers = headers
        .iter()
        .map(|(key, value)| HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        })
        .collect();
    HttpHeaders {
        headers: Some(HeaderMap { headers }),
        ..HttpHeaders::default()
    }
}

fn body(bytes: &[u8], end_of_stream: bool) -> HttpBody {
    HttpBody {
        body: bytes.to_vec(),
        end_of_stream,
        ..HttpBody::default()
    }
}

impl Messages {
    pub(super) fn new(options: &EppOptions) -> Self {
        let bytes = options.shape.prompt_tokens() * 4;
        let kind = if options.no_stream {
            "application/json"
        } else {
            "text/event-stream; charset=utf-8"
        };
        let response_head = head(&[
            (":status", "200"),
            ("content-type", kind),
            ("server", "uvicorn"),
            ("x-request-id", "0"),
        ]);
        Self {
            prompt: text::filler(bytes),
            response_head: framed(&of(Request::ResponseHeaders(response_head))),
            events: events(options),
            options: options.clone(),
        }
    }

    /// The request half of request `number`.
    pub(super) fn request(&self, number: u64) -> RequestMessages {
        let document = self.document(number);
        let length = document.len().to_string();
        let id = format!("bench-{number}");
        let mut message = of(Request::RequestHeaders(head(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "models.example"),
            (":path", "/v1/chat/completions"),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("accept", "text/event-stream"),
            ("user-agent", "OpenAI/Python 3.54.0"),
            ("authorization", "Bearer sk-bench"),
            ("x-forwarded-proto", "http"),
            ("x-request-id", &id),
        ])));
        message.protocol_config = Some(self.protocol());
        let pieces: Vec<&[u8]> = match self.options.body_mode {
            BodyMode::FullDuplex => document.as_bytes().chunks(PIECE_BYTES).collect(),
            BodyMode::Buffered => vec![document.as_bytes()],
        };
        let last = pieces.len().saturating_sub(1);
        RequestMessages {
            head: framed(&message),
            body: pieces
                .iter()
                .enumerate()
                .map(|(index, piece)| framed(&of(Request::RequestBody(body(piece, index == last)))))
                .collect(),
        }
    }

    fn protocol(&self) -> ProtocolConfiguration {
        let (request, response) = match self.options.body_mode {
            BodyMode::FullDuplex => (
                BodySendMode::FullDuplexStreamed,
                BodySendMode::FullDuplexStreamed,
            ),
            BodyMode::Buffered => (BodySendMode::Buffered, BodySendMode::Streamed),
        };
        ProtocolConfiguration {
            request_body_mode: request.into(),
            response_body_mode: response.into(),
            send_body_without_waiting_for_header_response: false,
        }
    }

    /// The body: half of the prompt belongs to the group, half to the request alone.
    fn document(&self, number: u64) -> String {
        let half = self.prompt.len() / 2;
        let (shared, own) = self.prompt.split_at(half);
        let opening = match number.checked_rem(self.options.groups) {
            Some(group) => format!("Group {group}. "),
            None => format!("Request {number}. "),
        };
        let usage = if self.options.include_usage {
            ",\"stream_options\":{\"include_usage\":true}"
        } else {
            ""
        };
        format!(
            "{{\"model\":\"{}\",\"messages\":[{{\"role\":\"system\",\"content\":\"{opening}{shared}\"}},\
             {{\"role\":\"user\",\"content\":\"Number {number}. {own}\"}}],\"max_tokens\":{},\"stream\":{}{usage}}}",
            self.options.model,
            self.options.shape.events(),
            !self.options.no_stream,
        )
    }
}

fn events(options: &EppOptions) -> Vec<Bytes> {
    let tokens = options.shape.events();
    let usage = format!(
        "\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{tokens},\"total_tokens\":{}}}",
        options.shape.prompt_tokens(),
        options.shape.prompt_tokens() + tokens
    );
    let message =
        |text: &str, last: bool| framed(&of(Request::ResponseBody(body(text.as_bytes(), last))));
    if options.no_stream {
        let text = format!(
            "{{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"{}\",\"choices\":[{{\"index\":0,\"message\":\
             {{\"role\":\"assistant\",\"content\":\"{}\"}},\"finish_reason\":\"stop\"}}],{usage}}}",
            options.model,
            text::filler(tokens * 4)
        );
        return vec![message(&text, false), message("", true)];
    }
    let event = format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{}\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n",
        options.model
    );
    let mut all = vec![message(&event, false); tokens];
    if options.include_usage {
        all.push(message(
            &format!("data: {{\"object\":\"chat.completion.chunk\",\"choices\":[],{usage}}}\n\n"),
            false,
        ));
    }
    all.push(message("data: [DONE]\n\n", false));
    all.push(message("", true));
    all
}
