//! The one table of errors a client can meet.
//!
//! Every refusal in the house is a row of [`Reason`]: HTTP status, machine-readable code, retry advice.
//! The body takes the shape of the API the client spoke ([`payload::Dialect`]), because the public SDKs
//! only show `error.message` of a JSON body and print a bare status otherwise.
//! `docs/errors.md` is generated from this table, and a test compares the two.

mod reference;

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use payload::{ApiError, Dialect};

pub use reference::{ReferenceDialect, reference_code};

/// Response header that carries [`Row::code`] of a refusal made by the gateway itself.
pub const REASON_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-reason");
/// llm-d's header for requests dropped before they reached a model server.
pub const DROPPED_HEADER: HeaderName = HeaderName::from_static("x-llm-d-request-dropped-reason");
/// Header honoured by the OpenAI and Anthropic SDKs: overrides their retry rule in both directions.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why a request was refused or failed. One row of the table each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No listener on this port accepts the host name.
    UnknownHost,
    /// A listener took the request but no HTTPRoute rule matches it.
    NoRoute,
    /// No route leads to a pool for this model name.
    ModelNotFound,
    /// The matched rule names no backend, or its backend reference is broken.
    InvalidBackend,
    /// A filter of the rule cannot be applied.
    InvalidFilter,
    /// The body is not what its API demands (bad JSON, missing field, bad multipart).
    InvalidBody,
    /// The model name must be known to choose a route and the body holds none.
    MissingModel,
    /// `Content-Encoding` the gateway cannot read.
    UnsupportedEncoding,
    /// The body is larger than the configured limit.
    BodyTooLarge,
    /// The process-wide byte budget for request bodies is used up.
    BodyBudget,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The pool or Service has no ready endpoint.
    NoEndpoints,
    /// A request without a body met a pool without endpoints. Told apart because the reference picker answers it
    /// differently.
    NothingTracked,
    /// The pool is saturated and the request's priority is negative.
    Shed,
    /// Filters of the scheduling profile left no endpoint.
    NothingEligible,
    /// The request prefers not to be served where its prompt is not cached, and it is cached nowhere.
    NotCached,
    /// Every endpoint that was tried refused the connection or failed before its first byte.
    UpstreamUnreachable,
    /// The model server failed in the middle of its answer.
    UpstreamFailed,
    /// The route's timeout expired.
    Timeout,
    /// The gateway is shutting down and takes no new requests.
    Draining,
    /// The configured number of concurrent requests is reached.
    TooManyRequests,
    /// A defect in the gateway.
    Internal,
}

/// Static facts of one [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// HTTP status of the answer. In a stream that has begun the status is already sent and an error event follows.
    pub status: u16,
    /// `error.code`, also the value of [`REASON_HEADER`].
    pub code: &'static str,
    /// `error.type` in OpenAI's shape.
    pub openai_type: &'static str,
    /// `error.type` in Anthropic's shape.
    pub anthropic_type: &'static str,
    /// Seconds for `Retry-After`, where trying again may help.
    pub retry_after_s: Option<u16>,
    /// Value of llm-d's dropped-reason header, for requests the picker dropped.
    pub dropped: Option<&'static str>,
    /// When it happens, for the documentation.
    pub when: &'static str,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Reason; 22] = [
        Reason::InvalidBody,
        Reason::MissingModel,
        Reason::UnknownHost,
        Reason::NoRoute,
        Reason::ModelNotFound,
        Reason::BodyTimeout,
        Reason::NotCached,
        Reason::BodyTooLarge,
        Reason::UnsupportedEncoding,
        Reason::Shed,
        Reason::NothingEligible,
        Reason::TooManyRequests,
        Reason::InvalidBackend,
        Reason::InvalidFilter,
        Reason::Internal,
        Reason::UpstreamUnreachable,
        Reason::UpstreamFailed,
        Reason::NoEndpoints,
        Reason::NothingTracked,
        Reason::BodyBudget,
        Reason::Draining,
        Reason::Timeout,
    ];

    /// The facts of this reason.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "it is a table, and reads best in one piece"
    )]
    pub const fn row(self) -> Row {
        match self {
            Self::InvalidBody => client(
                400,
                "invalid_request_body",
                "the body is not valid for its API: broken JSON, not an object, a required field missing, broken multipart",
            ),
            Self::MissingModel => client(
                400,
                "missing_model",
                "the route is chosen by model name and the body names no model",
            ),
            Self::UnknownHost => not_found(
                "unknown_host",
                "no listener on this port serves the host name",
            ),
            Self::NoRoute => not_found(
                "no_route",
                "no HTTPRoute rule matches path, method, headers and query",
            ),
            Self::ModelNotFound => not_found(
                "model_not_found",
                "no route leads to a pool for the model name, or `/v1/models/{id}` names none",
            ),
            Self::BodyTimeout => retryable(
                408,
                "request_body_timeout",
                1,
                "the client sent no body bytes for the configured time",
            ),
            Self::BodyTooLarge => Row {
                anthropic_type: "request_too_large",
                ..client(
                    413,
                    "request_body_too_large",
                    "the body (or its decompressed form) exceeds the limit",
                )
            },
            Self::UnsupportedEncoding => client(
                415,
                "unsupported_content_encoding",
                "the body must be read and its Content-Encoding is not one the gateway decodes",
            ),
            Self::Shed => dropped(
                429,
                "saturated",
                "rejected-saturated",
                "the pool is saturated and the request's objective has a negative priority",
            ),
            Self::NothingEligible => dropped(
                429,
                "no_eligible_endpoint",
                "rejected-saturated",
                "the filters of the scheduling profile left no endpoint",
            ),
            Self::NotCached => client(
                412,
                "not_cached",
                "the request says `Prefer: if-available`, and the endpoint chosen holds no part of its prompt",
            ),
            Self::TooManyRequests => retryable(
                429,
                "too_many_requests",
                1,
                "the gateway holds the configured number of concurrent requests",
            ),
            Self::InvalidBackend => server(
                500,
                "invalid_backend",
                "the matched rule has no backend, or refers to one that does not exist or may not be used",
            ),
            Self::InvalidFilter => server(
                500,
                "invalid_filter",
                "a filter of the matched rule cannot be applied",
            ),
            Self::Internal => server(
                500,
                "internal_error",
                "a defect in the gateway; please report it with the request id",
            ),
            Self::UpstreamUnreachable => retryable(
                502,
                "upstream_unreachable",
                1,
                "every endpoint that was tried refused the connection or broke it before its first byte",
            ),
            Self::UpstreamFailed => retryable(
                502,
                "upstream_failed",
                1,
                "the model server broke off in the middle of its answer; in a stream this arrives as an error event",
            ),
            Self::NoEndpoints => dropped(
                503,
                "no_endpoints",
                "rejected-no-endpoints",
                "the pool or Service has no ready endpoint",
            ),
            Self::NothingTracked => dropped(
                503,
                "no_endpoints_for_bodiless_request",
                "rejected-no-endpoints",
                "the request has no body and the pool has no ready endpoint",
            ),
            Self::BodyBudget => overloaded(
                "body_budget_exhausted",
                "request bodies held in memory reached the process-wide budget",
            ),
            Self::Draining => Row {
                dropped: Some("rejected-shutting-down"),
                ..overloaded(
                    "shutting_down",
                    "the gateway is shutting down and takes no new requests",
                )
            },
            Self::Timeout => retryable(
                504,
                "timeout",
                1,
                "the route's request or backend timeout expired; in a stream this arrives as an error event",
            ),
        }
    }
}

const fn client(status: u16, code: &'static str, when: &'static str) -> Row {
    Row {
        status,
        code,
        openai_type: "invalid_request_error",
        anthropic_type: "invalid_request_error",
        retry_after_s: None,
        dropped: None,
        when,
    }
}

const fn not_found(code: &'static str, when: &'static str) -> Row {
    Row {
        anthropic_type: "not_found_error",
        ..client(404, code, when)
    }
}

const fn server(status: u16, code: &'static str, when: &'static str) -> Row {
    Row {
        status,
        code,
        openai_type: "server_error",
        anthropic_type: "api_error",
        retry_after_s: None,
        dropped: None,
        when,
    }
}

const fn retryable(status: u16, code: &'static str, seconds: u16, when: &'static str) -> Row {
    let rate = status == 429;
    Row {
        openai_type: if rate {
            "rate_limit_error"
        } else {
            "server_error"
        },
        anthropic_type: if rate {
            "rate_limit_error"
        } else {
            "api_error"
        },
        retry_after_s: Some(seconds),
        ..server(status, code, when)
    }
}

const fn dropped(status: u16, code: &'static str, reason: &'static str, when: &'static str) -> Row {
    let row = retryable(status, code, 1, when);
    Row {
        anthropic_type: if status == 503 {
            "overloaded_error"
        } else {
            row.anthropic_type
        },
        dropped: Some(reason),
        ..row
    }
}

const fn overloaded(code: &'static str, when: &'static str) -> Row {
    Row {
        anthropic_type: "overloaded_error",
        ..retryable(503, code, 1, when)
    }
}

/// A refusal on its way to the client: a row of the table and a sentence about this very case.
///
/// The message reaches the client, so it names limits, paths and model names but never body text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", self.reason.row().code)]
pub struct Refusal {
    /// The row of the table.
    pub reason: Reason,
    /// What was wrong and what would be right.
    pub message: String,
    /// How the reference picker words it, where that depends on the request; see [`ErrorStyle::Reference`].
    reference: Option<Cow<'static, str>>,
}

/// How error answers are worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorStyle {
    /// In the shape of the API the client spoke, so that its SDK shows the message.
    #[default]
    Api,
    /// As plain text, word for word as the reference picker answers, for tools that depend on that.
    Reference(ReferenceDialect),
}

impl Refusal {
    /// A refusal with a message for the client.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            reference: None,
        }
    }

    /// Sets how the reference picker words it.
    pub(crate) fn in_reference(mut self, words: impl Into<Cow<'static, str>>) -> Self {
        self.reference = Some(words.into());
        self
    }

    /// HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.reason.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The error in the terms of the API's error object.
    #[must_use]
    pub fn api_error<'a>(&'a self, dialect: Dialect, request_id: &'a str) -> ApiError<'a> {
        let row = self.reason.row();
        ApiError {
            status: row.status,
            kind: match dialect {
                Dialect::OpenAi => row.openai_type,
                Dialect::Anthropic => row.anthropic_type,
            },
            code: row.code,
            message: &self.message,
            request_id,
        }
    }

    /// The whole answer: status, headers and a body in the client's dialect.
    #[must_use]
    pub fn reply(&self, dialect: Dialect, request_id: &str) -> crate::Reply {
        let row = self.reason.row();
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REASON_HEADER, HeaderValue::from_static(row.code));
        if let Some(reason) = row.dropped {
            headers.insert(DROPPED_HEADER, HeaderValue::from_static(reason));
        }
        match row.retry_after_s {
            Some(seconds) => headers.insert(RETRY_AFTER, HeaderValue::from(seconds)),
            // A deterministic 5xx would only be asked three times over.
            None if row.status >= 500 => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"))
            }
            None => None,
        };
        let body = payload::error_body(dialect, &self.api_error(dialect, request_id));
        crate::Reply {
            status: self.status(),
            headers,
            body,
        }
    }
}

impl From<payload::BodyError> for Refusal {
    fn from(error: payload::BodyError) -> Self {
        use payload::BodyError as E;
        let reason = match &error {
            E::UnsupportedEncoding => Reason::UnsupportedEncoding,
            E::TooLarge { .. } => Reason::BodyTooLarge,
            _ => Reason::InvalidBody,
        };
        Self::new(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests;
