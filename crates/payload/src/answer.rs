//! Errors in the shape the client's API speaks.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Dialect;

/// An error for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiError<'a> {
    /// HTTP status.
    pub status: u16,
    /// OpenAI error type, for example `invalid_request_error`. Anthropic's types follow from the
    /// status.
    pub kind: &'a str,
    /// Stable machine-readable code, for example `model_not_found`; empty for none.
    pub code: &'a str,
    /// One sentence for a human. It must not quote the request.
    pub message: &'a str,
    /// The request's id; empty for none.
    pub request_id: &'a str,
}

/// The JSON body of an error response, to be sent as `application/json`.
///
/// OpenAI's clients show nothing but `error.message`, and take the request's id from the
/// `x-request-id` header. Anthropic's body has the id in itself, and no place for a code.
pub fn error_body(dialect: Dialect, error: &ApiError<'_>) -> Bytes {
    Bytes::from(object(dialect, error).to_string())
}

/// The server-sent events that end a stream with an error, to be sent between two events.
///
/// OpenAI's clients raise an error for data with a member `error`, not for the event's name; the
/// end marker follows for clients that wait for it. Anthropic's go by the event's name.
pub fn error_event(dialect: Dialect, error: &ApiError<'_>) -> Bytes {
    let object = object(dialect, error);
    Bytes::from(match dialect {
        Dialect::OpenAi => format!("data: {object}\n\ndata: [DONE]\n\n"),
        Dialect::Anthropic => format!("event: error\ndata: {object}\n\n"),
    })
}

fn object(dialect: Dialect, error: &ApiError<'_>) -> Value {
    match dialect {
        Dialect::OpenAi => json!({
            "error": {
                "message": error.message,
                "type": error.kind,
                "param": null,
                "code": non_empty(error.code),
            }
        }),
        Dialect::Anthropic => json!({
            "type": "error",
            "error": { "type": anthropic_type(error.status), "message": error.message },
            "request_id": non_empty(error.request_id),
        }),
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The error types of Anthropic's API by HTTP status.
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ApiError<'_> = ApiError {
        status: 404,
        kind: "invalid_request_error",
        code: "model_not_found",
        message: "there is no model \"x\"",
        request_id: "req-1",
    };

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn openai_shape() {
        let value = parse(&error_body(Dialect::OpenAi, &ERROR));
        let error = &value["error"];
        assert_eq!(error["message"], "there is no model \"x\"");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["code"], "model_not_found");
        assert_eq!(error.get("param"), Some(&Value::Null));
        let no_code = parse(&error_body(
            Dialect::OpenAi,
            &ApiError { code: "", ..ERROR },
        ));
        assert_eq!(no_code["error"].get("code"), Some(&Value::Null));
    }

    #[test]
    fn anthropic_shape_and_types() {
        let value = parse(&error_body(Dialect::Anthropic, &ERROR));
        assert_eq!(value["type"], "error");
        assert_eq!(value["request_id"], "req-1");
        assert_eq!(value["error"]["message"], "there is no model \"x\"");
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (408, "invalid_request_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            let value = parse(&error_body(
                Dialect::Anthropic,
                &ApiError { status, ..ERROR },
            ));
            assert_eq!(value["error"]["type"], kind, "{status}");
        }
    }

    #[test]
    fn events_are_whole_and_hold_the_same_object() {
        let event = error_event(Dialect::OpenAi, &ERROR);
        let text = str::from_utf8(&event).unwrap();
        let data = text.strip_prefix("data: ").unwrap();
        let data = data.strip_suffix("\n\ndata: [DONE]\n\n").unwrap();
        assert_eq!(
            parse(data.as_bytes()),
            parse(&error_body(Dialect::OpenAi, &ERROR))
        );
        let event = error_event(Dialect::Anthropic, &ERROR);
        let text = str::from_utf8(&event).unwrap();
        let data = text.strip_prefix("event: error\ndata: ").unwrap();
        let data = data.strip_suffix("\n\n").unwrap();
        assert_eq!(
            parse(data.as_bytes()),
            parse(&error_body(Dialect::Anthropic, &ERROR))
        );
    }
}
