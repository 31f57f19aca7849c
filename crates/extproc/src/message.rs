//! Builds the messages that go back to Envoy.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ImmediateResponse,
    ProcessingResponse, StreamedBodyResponse, TrailersResponse, body_mutation::Mutation,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::Struct;
use lifecycle::Reply;

/// Most bytes of body in one message. Envoy and other proxies take at most 64 KiB with all that stands around it.
pub(crate) const PIECE_BYTES_MAX: usize = 62_000;

/// Which half of the HTTP exchange a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Request,
    Response,
}

/// A header to set, as bytes.
pub(crate) fn header(key: impl Into<String>, value: impl Into<Vec<u8>>) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.into(),
            raw_value: value.into(),
            ..HeaderValue::default()
        }),
        ..HeaderValueOption::default()
    }
}

/// Sets a header in place of whatever is set under its name, or removes it.
pub(crate) fn change(name: &str, value: Option<&http::HeaderValue>, reply: &mut HeadReply) {
    let is_other = |option: &HeaderValueOption| {
        let key = option.header.as_ref().map(|header| header.key.as_str());
        key != Some(name)
    };
    reply.set.retain(is_other);
    match value {
        Some(value) => reply.set.push(header(name, value.as_bytes())),
        None => reply.remove.push(name.to_owned()),
    }
}

/// What is answered to a head.
#[derive(Debug, Default)]
pub(crate) struct HeadReply {
    pub(crate) set: Vec<HeaderValueOption>,
    pub(crate) remove: Vec<String>,
    pub(crate) clear_route_cache: bool,
    pub(crate) metadata: Option<Struct>,
    pub(crate) mode_override: Option<ProcessingMode>,
}

impl HeadReply {
    fn common(set: Vec<HeaderValueOption>, remove: Vec<String>, clear: bool) -> CommonResponse {
        CommonResponse {
            header_mutation: Some(HeaderMutation {
                set_headers: set,
                remove_headers: remove,
            }),
            clear_route_cache: clear,
            ..CommonResponse::default()
        }
    }

    /// As the answer to a headers message.
    pub(crate) fn on_headers(self, half: Half) -> ProcessingResponse {
        let common = Self::common(self.set, self.remove, self.clear_route_cache);
        let reply = HeadersResponse {
            response: Some(common),
        };
        ProcessingResponse {
            response: Some(match half {
                Half::Request => Response::RequestHeaders(reply),
                Half::Response => Response::ResponseHeaders(reply),
            }),
            dynamic_metadata: self.metadata,
            mode_override: self.mode_override,
            ..ProcessingResponse::default()
        }
    }

    /// As the answer to a body message of a proxy that holds the whole body; `body` replaces it.
    pub(crate) fn on_body(self, half: Half, body: Option<Vec<u8>>) -> ProcessingResponse {
        let mut common = Self::common(self.set, self.remove, self.clear_route_cache);
        common.body_mutation = body.map(|body| BodyMutation {
            mutation: Some(Mutation::Body(body)),
        });
        let mut message = body_reply(half, Some(common));
        message.dynamic_metadata = self.metadata;
        message
    }
}

fn body_reply(half: Half, response: Option<CommonResponse>) -> ProcessingResponse {
    let reply = BodyResponse { response };
    ProcessingResponse {
        response: Some(match half {
            Half::Request => Response::RequestBody(reply),
            Half::Response => Response::ResponseBody(reply),
        }),
        ..ProcessingResponse::default()
    }
}

/// Answers a headers message without changing anything.
pub(crate) fn pass_headers(half: Half) -> ProcessingResponse {
    let reply = HeadersResponse::default();
    ProcessingResponse {
        response: Some(match half {
            Half::Request => Response::RequestHeaders(reply),
            Half::Response => Response::ResponseHeaders(reply),
        }),
        ..ProcessingResponse::default()
    }
}

/// Answers a body message of a proxy that sends pieces and wants each one back: unchanged, or replaced by `body`.
pub(crate) fn pass_body(half: Half, body: Option<Vec<u8>>) -> ProcessingResponse {
    let response = body.map(|body| CommonResponse {
        body_mutation: Some(BodyMutation {
            mutation: Some(if body.is_empty() {
                Mutation::ClearBody(true)
            } else {
                Mutation::Body(body)
            }),
        }),
        ..CommonResponse::default()
    });
    body_reply(half, response)
}

/// Answers trailers without changing them.
pub(crate) fn pass_trailers(half: Half) -> ProcessingResponse {
    let reply = TrailersResponse::default();
    ProcessingResponse {
        response: Some(match half {
            Half::Request => Response::RequestTrailers(reply),
            Half::Response => Response::ResponseTrailers(reply),
        }),
        ..ProcessingResponse::default()
    }
}

fn piece(half: Half, body: Vec<u8>, end_of_stream: bool) -> ProcessingResponse {
    let streamed = StreamedBodyResponse {
        body,
        end_of_stream,
        ..StreamedBodyResponse::default()
    };
    let common = CommonResponse {
        body_mutation: Some(BodyMutation {
            mutation: Some(Mutation::StreamedResponse(streamed)),
        }),
        ..CommonResponse::default()
    };
    body_reply(half, Some(common))
}

/// Sends bytes on as pieces for a proxy in full-duplex mode. An empty end is one empty piece; nothing without an end is
/// no piece at all.
pub(crate) fn pieces<'c>(
    half: Half,
    chunks: impl IntoIterator<Item = &'c Bytes>,
    end_of_stream: bool,
    out: &mut impl FnMut(ProcessingResponse),
) {
    let mut open: Vec<u8> = Vec::new();
    for chunk in chunks {
        let mut rest = &chunk[..];
        while open.len() + rest.len() > PIECE_BYTES_MAX {
            let (head, tail) = rest.split_at(PIECE_BYTES_MAX - open.len());
            open.extend_from_slice(head);
            out(piece(half, std::mem::take(&mut open), false));
            rest = tail;
        }
        open.extend_from_slice(rest);
    }
    if !open.is_empty() || end_of_stream {
        out(piece(half, open, end_of_stream));
    }
}

/// Ends the exchange with an answer of our own.
pub(crate) fn immediate(reply: &Reply) -> ProcessingResponse {
    let set_headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| header(name.as_str(), value.as_bytes()))
        .collect();
    let headers = (!set_headers.is_empty()).then(|| HeaderMutation {
        set_headers,
        ..HeaderMutation::default()
    });
    let status = HttpStatus {
        code: i32::from(reply.status.as_u16()),
    };
    ProcessingResponse {
        response: Some(Response::ImmediateResponse(ImmediateResponse {
            status: Some(status),
            headers,
            body: reply.body.to_vec(),
            ..ImmediateResponse::default()
        })),
        ..ProcessingResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[Bytes], end: bool) -> Vec<(usize, bool)> {
        let mut all = Vec::new();
        pieces(Half::Request, chunks, end, &mut |message| {
            let Some(Response::RequestBody(body)) = message.response else {
                panic!("not a body");
            };
            let mutation = body.response.unwrap().body_mutation.unwrap().mutation;
            let Some(Mutation::StreamedResponse(piece)) = mutation else {
                panic!("not a piece");
            };
            all.push((piece.body.len(), piece.end_of_stream));
        });
        all
    }

    #[test]
    fn bodies_are_cut_below_the_limit_and_small_chunks_joined() {
        let bytes = |len: usize| Bytes::from(vec![b'x'; len]);
        assert_eq!(cut(&[], true), [(0, true)]);
        assert_eq!(cut(&[], false), []);
        assert_eq!(cut(&[bytes(3), bytes(4)], true), [(7, true)]);
        assert_eq!(cut(&[bytes(62_000)], true), [(62_000, true)]);
        assert_eq!(cut(&[bytes(62_001)], true), [(62_000, false), (1, true)]);
        assert_eq!(
            cut(&[bytes(61_999), bytes(62_002)], false),
            [(62_000, false), (62_000, false), (1, false)]
        );
    }
}
