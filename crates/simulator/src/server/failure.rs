//! Errors as vLLM words them: OpenAI's envelope with an integer code, or Anthropic's.

use http::StatusCode;
use serde_json::json;

use crate::engine::Refusal;

/// Whose error envelope a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    OpenAi,
    Anthropic,
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// The request field that is at fault, if one is.
    pub(super) param: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn field(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param),
            ..Self::bad(message)
        }
    }

    pub(super) fn unknown_model(name: &str) -> Self {
        let message = format!("The model `{name}` does not exist.");
        Self {
            param: Some("model"),
            ..Self::new(StatusCode::NOT_FOUND, message)
        }
    }

    /// Tells the place, not what stands there: that may be prompt text.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a field has the wrong type",
            _ => "the body is not valid JSON",
        };
        Self::bad(format!(
            "{what} (line {} column {})",
            error.line(),
            error.column()
        ))
    }

    pub(super) fn body(&self, envelope: Envelope) -> Vec<u8> {
        let value = match envelope {
            Envelope::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.param,
                "code": self.status.as_u16(),
            }}),
            Envelope::Anthropic => json!({"type": "error", "error": {
                "type": self.anthropic_type(),
                "message": self.message,
            }}),
        };
        value.to_string().into_bytes()
    }

    fn openai_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "AuthenticationError",
            404 => "NotFoundError",
            413 => "RequestEntityTooLargeError",
            429 => "TooManyRequestsError",
            503 => "ServiceUnavailableError",
            500..=599 => "InternalServerError",
            _ => "BadRequestError",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            500..=599 => "api_error",
            _ => "invalid_request_error",
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::QueueFull { waiting } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("The waiting queue is full: {waiting} requests are waiting."),
            ),
            Refusal::TooLong { tokens, allowed } => Self::bad(format!(
                "This model's maximum context length is {allowed} tokens. However, you requested \
                 {tokens} tokens. Please reduce the length of the input or of the output."
            )),
            Refusal::EmptyPrompt => Self::bad("The prompt is empty: at least one token is needed."),
        }
    }
}
