use super::*;

#[test]
fn every_reason_is_listed_once_and_codes_are_unique() {
    let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.row().code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Reason::ALL.len());
}

#[test]
fn transient_refusals_say_when_to_come_back_and_defects_say_not_to() {
    for reason in Reason::ALL {
        let reply = Refusal::new(reason, "x").reply(Dialect::OpenAi, "id");
        let status = reply.status.as_u16();
        let transient = matches!(status, 408 | 429 | 502 | 503 | 504);
        assert_eq!(
            reply.headers.contains_key(RETRY_AFTER),
            transient,
            "{reason:?}"
        );
        assert_eq!(
            reply.headers.contains_key("x-should-retry"),
            status == 500,
            "{reason:?}"
        );
        assert_eq!(reply.headers[REASON_HEADER], reason.row().code);
    }
}

#[test]
fn bodies_carry_the_message_in_both_dialects() {
    let refusal = Refusal::new(Reason::ModelNotFound, "no \"quoted\" model");
    for (dialect, kind) in [
        (Dialect::OpenAi, "invalid_request_error"),
        (Dialect::Anthropic, "not_found_error"),
    ] {
        let reply = refusal.reply(dialect, "req-1");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["error"]["message"], "no \"quoted\" model");
        assert_eq!(body["error"]["type"], kind);
    }
}

/// `docs/errors.md` is this table. `UPDATE_DOCS=1 cargo test -p lifecycle` writes it anew.
#[test]
fn the_documentation_holds_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let wanted = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/errors.md is not what the code says; run UPDATE_DOCS=1 cargo test -p lifecycle"
    );
}

fn document() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Errors\n\n\
         Every error that the gateway itself sends is a row of this table (`crates/lifecycle/src/errors.rs`; a test holds the two together).\n\
         Errors of model servers pass through untouched.\n\n\
         - The body is JSON in the shape of the API that the path belongs to: OpenAI's `{\"error\": {\"message\", \"type\", \"param\", \"code\"}}`,\n  \
         or Anthropic's `{\"type\": \"error\", \"error\": {\"type\", \"message\"}}` for `/v1/messages`.\n\
         - `x-plimsoll-reason` holds the code. `x-request-id` is on every answer.\n\
         - `Retry-After` is set where trying again may help. `x-should-retry: false` (which the OpenAI and Anthropic SDKs honour)\n  \
         is set on 500s, which would only fail three times over.\n\
         - `x-llm-d-request-dropped-reason` is set on requests that were dropped before they reached a model server.\n\
         - Once a stream has begun its status is sent; an error then arrives as an SSE event (`data: {\"error\": …}` and `data: [DONE]`,\n  \
         or Anthropic's `event: error`). A stream that is not complete never ends without one. Other answers that break off\n  \
         end in a broken connection, so that no client takes half of them for whole.\n\n\
         | status | code | when | OpenAI type | Anthropic type | Retry-After | dropped reason |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let row = reason.row();
        let retry = row
            .retry_after_s
            .map_or_else(|| "–".to_owned(), |seconds| format!("{seconds} s"));
        let dropped = row
            .dropped
            .map_or_else(|| "–".to_owned(), |reason| format!("`{reason}`"));
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | `{}` | `{}` | {retry} | {dropped} |",
            row.status, row.code, row.when, row.openai_type, row.anthropic_type
        );
    }
    text
}
