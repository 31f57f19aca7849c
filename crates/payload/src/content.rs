//! How the bytes of a body are to be understood, told from `Content-Type`.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::Api;

/// The longest multipart boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The outer format of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON document.
    Json,
    /// `multipart/form-data` (RFC 7578) with this boundary.
    Multipart {
        /// The boundary without its leading dashes.
        boundary: Box<[u8]>,
    },
    /// Nothing the gateway reads.
    Other,
}

impl Encoding {
    /// Tells the format from the `Content-Type` header.
    ///
    /// Bodies of LLM APIs are JSON unless they say that they are multipart: clients forget the
    /// header, and `curl -d` sends a wrong one. Of other requests only those that say JSON, or say
    /// nothing, are taken for it.
    pub fn of(api: Api, headers: &HeaderMap) -> Encoding {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Encoding::Json;
        };
        let value = value.as_bytes();
        let end = value
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(value.len());
        let (kind, parameters) = value.split_at(end);
        let kind = kind.trim_ascii().to_ascii_lowercase();
        if kind == b"multipart/form-data" {
            return match boundary(parameters) {
                Some(boundary) => Encoding::Multipart {
                    boundary: boundary.into(),
                },
                None => Encoding::Other,
            };
        }
        let is_json = kind.is_empty() || kind.ends_with(b"/json") || kind.ends_with(b"+json");
        let is_llm = api.reads_body() && !kind.starts_with(b"multipart/");
        if is_json || is_llm {
            Encoding::Json
        } else {
            Encoding::Other
        }
    }
}

/// The `boundary` among a header's parameters, which begin with a semicolon.
fn boundary(parameters: &[u8]) -> Option<Vec<u8>> {
    let boundary = parameter(parameters, b"boundary")?;
    (1..=MAX_BOUNDARY)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// The value of a header parameter, a token or a quoted string (RFC 9110 section 5.6.6).
pub(crate) fn parameter(mut rest: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    loop {
        let start = rest.iter().position(|&byte| byte == b';')? + 1;
        rest = rest[start..].trim_ascii_start();
        let equals = rest.iter().position(|&byte| matches!(byte, b'=' | b';'))?;
        if rest[equals] == b';' {
            rest = &rest[equals..];
            continue;
        }
        let name = rest[..equals].trim_ascii();
        let (value, after) = value(rest[equals + 1..].trim_ascii_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// A parameter's value and what comes after it.
fn value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(text.len());
        return (text[..end].trim_ascii_end().to_vec(), &text[end..]);
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return (value, &quoted[at + 1..]),
            b'\\' => value.extend(bytes.next().map(|(_, &escaped)| escaped)),
            _ => value.push(byte),
        }
    }
    (value, &[])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(api: Api, value: Option<&'static str>) -> Encoding {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        Encoding::of(api, &headers)
    }

    #[test]
    fn json_unless_said_otherwise() {
        let chat = Api::ChatCompletions;
        for value in [
            None,
            Some(""),
            Some("application/json"),
            Some("Application/JSON; charset=utf-8"),
            Some("application/vnd.api+json"),
            Some("application/x-www-form-urlencoded"),
            Some("text/plain"),
        ] {
            assert_eq!(of(chat, value), Encoding::Json, "{value:?}");
        }
        assert_eq!(
            of(chat, Some("multipart/mixed; boundary=x")),
            Encoding::Other
        );
        assert_eq!(of(Api::Other, None), Encoding::Json);
        assert_eq!(of(Api::Other, Some("application/json")), Encoding::Json);
        assert_eq!(
            of(Api::Other, Some("application/octet-stream")),
            Encoding::Other
        );
        assert_eq!(
            of(Api::Other, Some("application/x-www-form-urlencoded")),
            Encoding::Other
        );
    }

    #[test]
    fn boundaries_rfc2046_5_1_1() {
        for (value, boundary) in [
            ("multipart/form-data; boundary=abc", "abc"),
            ("Multipart/Form-Data;Boundary=abc ; charset=utf-8", "abc"),
            (
                "multipart/form-data; charset=\"a;boundary=no\"; boundary=\"a b:c\"",
                "a b:c",
            ),
            (
                "multipart/form-data; flag; boundary=\"q\\\"uote\"",
                "q\"uote",
            ),
        ] {
            let expected = Encoding::Multipart {
                boundary: boundary.as_bytes().into(),
            };
            assert_eq!(of(Api::Audio, Some(value)), expected, "{value}");
        }
        for value in ["multipart/form-data", "multipart/form-data; boundary="] {
            assert_eq!(of(Api::Audio, Some(value)), Encoding::Other, "{value}");
        }
    }
}
