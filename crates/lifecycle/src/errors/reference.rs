//! Error answers as the reference endpoint picker gives them: plain text, `inference error: CODE - MESSAGE`.
//!
//! Source: the Inference Extension's picker v1.5.0 and llm-d's router. Statuses that they never send keep ours and take
//! the code of their class.

use http::{HeaderMap, HeaderValue, StatusCode};

use super::{DROPPED_HEADER, Reason, Refusal};

/// Which of the two reference pickers is followed where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReferenceDialect {
    /// Inference Extension v1.5.0: no headers on error answers.
    Gie,
    /// llm-d's router: [`DROPPED_HEADER`] tells why a request was dropped.
    #[default]
    LlmD,
}

impl Refusal {
    /// The answer in the reference picker's words.
    pub(crate) fn reference_reply(&self, dialect: ReferenceDialect) -> crate::Reply {
        let status = match self.reason {
            Reason::NothingTracked => StatusCode::INTERNAL_SERVER_ERROR,
            _ => self.status(),
        };
        let message = self
            .reference
            .as_deref()
            .or_else(|| wording(self.reason, dialect))
            .unwrap_or(&self.message);
        let mut headers = HeaderMap::new();
        if dialect == ReferenceDialect::LlmD
            && let Some(reason) = dropped(self.reason)
        {
            headers.insert(DROPPED_HEADER, HeaderValue::from_static(reason));
        }
        crate::Reply {
            status,
            headers,
            body: format!("inference error: {} - {message}", code(status)).into(),
        }
    }
}

fn dropped(reason: Reason) -> Option<&'static str> {
    match reason {
        // Neither passes through the part of llm-d's router that sets the header.
        Reason::Shed | Reason::NothingTracked => None,
        _ => reason.row().dropped,
    }
}

fn wording(reason: Reason, dialect: ReferenceDialect) -> Option<&'static str> {
    Some(match (reason, dialect) {
        (Reason::NothingTracked, _) => "no pods available in datastore",
        (Reason::NoEndpoints, _) => "failed to find endpoint candidates for serving the request",
        (Reason::Shed, _) => "system saturated, sheddable request dropped",
        (Reason::NothingEligible, ReferenceDialect::Gie) => {
            "failed to find target endpoint: failed to run scheduler profile 'default'"
        }
        (Reason::NothingEligible, ReferenceDialect::LlmD) => {
            "no endpoints available for the given request"
        }
        (Reason::MissingModel, _) => "model not found in request body",
        _ => return None,
    })
}

fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        412 => "PreconditionFailed",
        429 => "ResourceExhausted",
        502..=504 => "ServiceUnavailable",
        400..=499 => "BadRequest",
        _ => "Internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(refusal: &Refusal, dialect: ReferenceDialect) -> (u16, Option<String>, String) {
        let reply = refusal.reference_reply(dialect);
        let dropped = reply.headers.get(DROPPED_HEADER);
        (
            reply.status.as_u16(),
            dropped.map(|value| value.to_str().unwrap().to_owned()),
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn errors_in_the_words_of_the_reference() {
        use ReferenceDialect::{Gie, LlmD};
        let prefix = "inference error: ";
        for (reason, dialect, status, dropped, text) in [
            (
                Reason::NothingTracked,
                Gie,
                500,
                None,
                "Internal - no pods available in datastore",
            ),
            (
                Reason::NoEndpoints,
                Gie,
                503,
                None,
                "ServiceUnavailable - failed to find endpoint candidates for serving the request",
            ),
            (
                Reason::NoEndpoints,
                LlmD,
                503,
                Some("rejected-no-endpoints"),
                "ServiceUnavailable - failed to find endpoint candidates for serving the request",
            ),
            (
                Reason::Shed,
                LlmD,
                429,
                None,
                "ResourceExhausted - system saturated, sheddable request dropped",
            ),
            (
                Reason::NothingEligible,
                LlmD,
                429,
                Some("rejected-saturated"),
                "ResourceExhausted - no endpoints available for the given request",
            ),
            (
                Reason::MissingModel,
                Gie,
                400,
                None,
                "BadRequest - model not found in request body",
            ),
            (Reason::BodyTooLarge, Gie, 413, None, "BadRequest - ours"),
            (Reason::Internal, Gie, 500, None, "Internal - ours"),
        ] {
            let (got_status, got_dropped, got_text) = told(&Refusal::new(reason, "ours"), dialect);
            assert_eq!(got_status, status, "{reason:?}");
            assert_eq!(got_dropped.as_deref(), dropped, "{reason:?}");
            assert_eq!(got_text, format!("{prefix}{text}"), "{reason:?}");
        }
    }

    #[test]
    fn words_that_depend_on_the_request_go_before_the_table() {
        let refusal = Refusal::new(Reason::MissingModel, "ours").in_reference("theirs");
        assert_eq!(
            told(&refusal, ReferenceDialect::Gie).2,
            "inference error: BadRequest - theirs"
        );
    }
}
