//! Header hygiene: hop-by-hop headers (RFC 9110 §7.6.1), headers that only the gateway may set,
//! request ids, and W3C trace context.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Request id, echoed from the client when sane, made otherwise; also on the response.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Headers that carry the gateway's own decisions. A client-sent copy would spoof them.
const RESERVED: [&str; 7] = [
    routing::MODEL_HEADER,
    routing::BASE_MODEL_HEADER,
    "x-gateway-destination-endpoint",
    "x-gateway-destination-endpoint-subset",
    "x-gateway-destination-endpoint-served",
    "x-prefiller-host-port",
    "x-encoder-hosts-ports",
];

/// Control headers a client may send and the model server must not see (both spellings in use upstream).
const CONTROL: [&str; 10] = [
    "x-gateway-inference-objective",
    "x-llm-d-inference-objective",
    "x-gateway-inference-fairness-id",
    "x-llm-d-inference-fairness-id",
    "x-gateway-model-name-rewrite",
    "x-llm-d-model-name-rewrite",
    "x-slo-ttft-ms",
    "x-llm-d-slo-ttft-ms",
    "x-slo-tpot-ms",
    "x-llm-d-slo-tpot-ms",
];

/// Removes every copy of a header that only the gateway may set.
pub(crate) fn strip_reserved(headers: &mut HeaderMap) {
    for name in RESERVED {
        headers.remove(name);
    }
}

/// Removes the control headers, once their values have been read.
pub(crate) fn strip_control(headers: &mut HeaderMap) {
    for name in CONTROL {
        headers.remove(name);
    }
}

/// The first value found under either spelling, the newer one first.
#[must_use]
pub(crate) fn control<'h>(headers: &'h HeaderMap, newer: &str, older: &str) -> Option<&'h str> {
    headers
        .get(newer)
        .or_else(|| headers.get(older))
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty())
}

/// Removes headers that belong to one connection, also those that `Connection` names (RFC 9110 §7.6.1).
/// `TE: trailers` and `Trailer` stay, because trailers are forwarded; so do `Host` and `Content-Length`, which a
/// client cannot mean for one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    let accepts_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',')
                .any(|item| item.trim().eq_ignore_ascii_case("trailers"))
        })
    });
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
        KEEP_ALIVE,
        PROXY_CONNECTION,
    ] {
        headers.remove(name);
    }
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Takes the client's request id if it is 1 to 128 visible characters without spaces; makes one from `draw` otherwise.
pub(crate) fn ensure_request_id(headers: &mut HeaderMap, draw: u128) -> HeaderValue {
    if let Some(value) = headers.get(REQUEST_ID)
        && (1..=REQUEST_ID_CHARS_MAX).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic)
    {
        return value.clone();
    }
    let made =
        HeaderValue::from_str(&uuid(draw)).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    headers.insert(REQUEST_ID, made.clone());
    made
}

/// A version 4 UUID (RFC 9562 §5.4) of the given random bits.
fn uuid(draw: u128) -> String {
    let bits = (draw & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Trace id of the client's `traceparent`, or a new one, where the headers are not ours to change.
pub(crate) fn trace_id(headers: &HeaderMap, draw: u128) -> String {
    headers
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok())
        .and_then(parse_traceparent)
        .map_or_else(|| format!("{:032x}", draw.max(1)), |(id, _)| id.to_owned())
}

/// Continues the client's trace with a new parent id, or starts one (W3C Trace Context, level 1).
/// Returns the trace id as 32 hex digits. An invalid `traceparent` is replaced and its `tracestate` dropped.
pub(crate) fn continue_trace(headers: &mut HeaderMap, draw: u128, span: u64) -> String {
    let incoming = headers
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok())
        .and_then(parse_traceparent);
    let (trace_id, flags) = match incoming {
        Some((trace_id, flags)) => (trace_id.to_owned(), flags.to_owned()),
        None => {
            headers.remove(TRACESTATE);
            (format!("{:032x}", draw.max(1)), "00".to_owned())
        }
    };
    if let Ok(value) = HeaderValue::from_str(&format!("00-{trace_id}-{:016x}-{flags}", span.max(1)))
    {
        headers.insert(TRACEPARENT, value);
    }
    trace_id
}

/// Trace id and flags of a version 00 `traceparent`; `None` where the standard calls it invalid.
fn parse_traceparent(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.trim().split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && hex(parent, 16)
        && hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && parent.bytes().any(|byte| byte != b'0')
        && (version != "00" || parts.next().is_none());
    valid.then_some((trace, flags))
}

/// Tells the backend where the request came from: the peer joins `X-Forwarded-For`, `X-Forwarded-Proto` is set.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, peer: Option<std::net::IpAddr>, tls: bool) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    headers.insert(
        PROTO,
        HeaderValue::from_static(if tls { "https" } else { "http" }),
    );
    let Some(peer) = peer else { return };
    let list = match headers.get(&FOR).and_then(|value| value.to_str().ok()) {
        Some(earlier) => format!("{earlier}, {peer}"),
        None => peer.to_string(),
    };
    if let Ok(value) = HeaderValue::from_str(&list) {
        headers.insert(FOR, value);
    }
}

/// Prepares request headers for a model server: hop-by-hop and control headers go, `Host` is set by the door.
pub(crate) fn prepare_upstream(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    strip_control(headers);
    headers.remove(HOST);
    // The gateway has answered the expectation itself by reading the body.
    headers.remove(EXPECT);
}

#[cfg(test)]
mod tests;
