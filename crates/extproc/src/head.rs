//! HTTP heads as Envoy sends them: pseudo headers among the others, values in one of two fields.

use envoy_types::pb::envoy::config::core::v3::{HeaderMap as EnvoyHeaders, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::HttpHeaders;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::message;

/// Path assumed when a request names none, as in the reference picker.
const DEFAULT_PATH: &str = "/v1/completions";

/// Headers between client, proxy and picker that are never set on the request again.
const SYSTEM_OWNED: [&str; 22] = [
    "content-length",
    "x-gateway-destination-endpoint",
    "x-gateway-destination-endpoint-served",
    "x-gateway-destination-endpoint-subset",
    "x-gateway-inference-fairness-id",
    "x-gateway-inference-objective",
    "x-gateway-model-name-rewrite",
    "x-llm-d-inference-fairness-id",
    "x-llm-d-inference-objective",
    "x-llm-d-model-name-rewrite",
    "x-llm-d-request-dropped-reason",
    "x-llm-d-slo-tpot-ms",
    "x-llm-d-slo-ttft-ms",
    "x-llm-d-video-duration-seconds",
    "x-llm-d-video-fps",
    "x-llm-d-video-resolution",
    "x-slo-tpot-ms",
    "x-slo-ttft-ms",
    "x-prefiller-host-port",
    "x-encoder-hosts-ports",
    "x-data-parallel-host-port",
    "x-kv-cache-source-host-port",
];

/// One header as it came.
#[derive(Debug)]
struct Entry {
    key: String,
    value: Vec<u8>,
}

/// The headers of one head, in order.
#[derive(Debug, Default)]
pub(crate) struct Head(Vec<Entry>);

impl Head {
    /// Takes the headers out of the message. Keys are compared in lower case, as HTTP/2 has them.
    pub(crate) fn take(message: HttpHeaders) -> Self {
        let EnvoyHeaders { headers } = message.headers.unwrap_or_default();
        Self(
            headers
                .into_iter()
                .map(|header| Entry {
                    key: lower(header.key),
                    value: if header.raw_value.is_empty() {
                        header.value.into_bytes()
                    } else {
                        header.raw_value
                    },
                })
                .collect(),
        )
    }

    /// The first value under this key, if it is text and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let entry = self.0.iter().find(|entry| entry.key == key)?;
        std::str::from_utf8(&entry.value)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// The request head as the lifecycle takes it. What HTTP does not allow is left out.
    pub(crate) fn request_parts(&self) -> http::request::Parts {
        let method = self
            .text(":method")
            .and_then(|method| method.parse().ok())
            .unwrap_or(Method::POST);
        let path = self
            .text(":path")
            .or_else(|| self.text("x-original-path"))
            .or_else(|| self.text("x-forwarded-path"))
            .unwrap_or(DEFAULT_PATH);
        let uri = path
            .parse()
            .unwrap_or_else(|_| Uri::from_static(DEFAULT_PATH));
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = method;
        parts.uri = uri;
        self.copy_to(&mut parts.headers);
        if let Some(Ok(host)) = self.text(":authority").map(HeaderValue::from_str) {
            parts.headers.entry(http::header::HOST).or_insert(host);
        }
        parts
    }

    /// The response head as the lifecycle takes it. Test proxies send `status` for `:status`.
    pub(crate) fn response_parts(&self) -> http::response::Parts {
        let status = self
            .text(":status")
            .or_else(|| self.text("status"))
            .and_then(|status| status.parse().ok())
            .unwrap_or(StatusCode::OK);
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = status;
        self.copy_to(&mut parts.headers);
        parts
    }

    fn copy_to(&self, headers: &mut http::HeaderMap) {
        headers.reserve(self.0.len());
        for entry in &self.0 {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(entry.key.as_bytes()),
                HeaderValue::from_bytes(&entry.value),
            ) {
                headers.append(name, value);
            }
        }
    }

    /// Whether the head has a header of this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|entry| entry.key == key)
    }

    /// Sets every header again with the value it has, as the reference picker does. Headers that stand more than once
    /// are left alone: setting them would join them into one.
    pub(crate) fn echo(self, set: &mut Vec<HeaderValueOption>) {
        let repeated: Vec<bool> = (0..self.0.len())
            .map(|at| {
                let key = &self.0[at].key;
                let same = |entry: &Entry| entry.key == *key;
                self.0[..at].iter().any(same) || self.0[at + 1..].iter().any(same)
            })
            .collect();
        set.reserve(self.0.len());
        for (entry, repeated) in self.0.into_iter().zip(repeated) {
            if !repeated && !SYSTEM_OWNED.contains(&entry.key.as_str()) {
                set.push(message::header(entry.key, entry.value));
            }
        }
    }
}

fn lower(key: String) -> String {
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        key.to_ascii_lowercase()
    } else {
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::core::v3::HeaderValue as EnvoyHeader;

    fn head(entries: &[(&str, &str)]) -> Head {
        let headers = entries
            .iter()
            .enumerate()
            .map(|(index, (key, value))| {
                // Both fields are in use.
                let (value, raw_value) = if index % 2 == 0 {
                    ((*value).to_owned(), Vec::new())
                } else {
                    (String::new(), value.as_bytes().to_vec())
                };
                EnvoyHeader {
                    key: (*key).to_owned(),
                    value,
                    raw_value,
                }
            })
            .collect();
        Head::take(HttpHeaders {
            headers: Some(EnvoyHeaders { headers }),
            ..HttpHeaders::default()
        })
    }

    #[test]
    fn a_request_head_is_put_together_from_pseudo_headers() {
        let parts = head(&[
            (":method", "GET"),
            (":path", "/v1/models?x=1"),
            (":authority", "ai.example"),
            ("Content-Type", "text/plain"),
            ("bad name", "x"),
        ])
        .request_parts();
        assert_eq!(parts.method, Method::GET);
        assert_eq!(parts.uri, "/v1/models?x=1");
        assert_eq!(parts.headers["host"], "ai.example");
        assert_eq!(parts.headers["content-type"], "text/plain");
        assert_eq!(parts.headers.len(), 2);
    }

    #[test]
    fn the_path_is_looked_for_in_four_places() {
        for (entries, path) in [
            (&[(":path", "/a"), ("x-original-path", "/b")][..], "/a"),
            (
                &[("x-original-path", "/b"), ("x-forwarded-path", "/c")],
                "/b",
            ),
            (&[("x-forwarded-path", "/c")], "/c"),
            (&[], "/v1/completions"),
        ] {
            assert_eq!(head(entries).request_parts().uri.path(), path);
        }
    }

    #[test]
    fn the_status_is_read_under_both_names() {
        for (entries, status) in [
            (&[(":status", "503")][..], 503),
            (&[("status", "404")], 404),
            (&[(":status", "x")], 200),
            (&[], 200),
        ] {
            assert_eq!(head(entries).response_parts().status, status);
        }
    }

    #[test]
    fn the_echo_leaves_out_what_the_system_owns_and_what_stands_twice() {
        let mut set = Vec::new();
        head(&[
            (":path", "/x"),
            ("Content-Length", "5"),
            ("cookie", "a"),
            ("x-gateway-inference-objective", "o"),
            ("cookie", "b"),
            ("hi", "mom"),
        ])
        .echo(&mut set);
        let keys: Vec<_> = set
            .iter()
            .map(|option| option.header.as_ref().unwrap().key.as_str())
            .collect();
        assert_eq!(keys, [":path", "hi"]);
    }
}
