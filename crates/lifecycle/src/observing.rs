//! Phase four: the answer flows to the client, and the gateway learns from it.
//!
//! Nothing is buffered but the tail of an unfinished server-sent event, so that an error event never lands
//! inside another event. A stream that breaks off, or ends without its end marker, ends in an error event:
//! SDKs take a clean end for success.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use payload::{JsonResponse, StreamReader, Usage};
use resources::Filter;

use crate::cors;
use crate::dispatch::{Dispatch, Observed};
use crate::errors::{Reason, Refusal};
use crate::headers;
use crate::record::Ending;

/// Response header that names the serving endpoint, if the settings ask for it.
pub const ENDPOINT_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-endpoint");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An answer under way. Dropped before its end, the request counts as cancelled by the client, and all it held is freed.
pub struct Observing {
    observed: Observed,
    reader: Answer,
}

/// How the answer's body is looked into.
enum Answer {
    Events(Box<StreamReader>),
    Json(Box<JsonResponse>),
    Opaque,
}

/// How a door ends an answer that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Cleanly: an error event told the client.
    Clean,
    /// By breaking the connection or stream, so that the client cannot take the answer for whole.
    Abort,
}

impl Observing {
    pub(crate) fn begin(dispatch: Dispatch, response: &mut http::response::Parts) -> Self {
        let mut observed = dispatch.into_observed();
        let exchange = &mut observed.exchange;
        exchange.status = Some(response.status.as_u16());
        if let Some(endpoint) = &observed.endpoint {
            endpoint.health().note_success();
            exchange.served = Some(endpoint.name().clone());
        }
        let reader = reader_for(&observed, &response.headers);
        let streamed = matches!(reader, Answer::Events(_));
        let rewritten = observed.rename.is_some() && !matches!(reader, Answer::Opaque);
        prepare_head(&observed, &mut response.headers, streamed, rewritten);
        if !streamed
            && let Some(reservation) = observed
                .pooled
                .as_mut()
                .and_then(|pooled| pooled.reservation.as_mut())
        {
            reservation.prefill_done();
        }
        Self { observed, reader }
    }

    /// A piece of the body arrived; `out` is handed what may go to the client now.
    pub fn data(&mut self, chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        match &mut self.reader {
            Answer::Events(reader) => {
                if reader.push(chunk, out).first_content {
                    self.first_content();
                }
            }
            Answer::Json(reader) => reader.push(chunk, out),
            Answer::Opaque => out(chunk),
        }
    }

    fn first_content(&mut self) {
        let exchange = &mut self.observed.exchange;
        let now = exchange.core.now();
        exchange.ttft = Some(now.saturating_since(exchange.arrived));
        if let Some(reservation) = self
            .observed
            .pooled
            .as_mut()
            .and_then(|pooled| pooled.reservation.as_mut())
        {
            reservation.first_token(now);
        }
    }

    /// The model server ended its answer.
    #[must_use]
    pub fn end(mut self, out: &mut impl FnMut(Bytes)) -> Close {
        let success = self.is_success();
        let usage = match &mut self.reader {
            Answer::Events(reader) => {
                reader.finish(out);
                if reader.wants_end_marker() && !reader.saw_end() && !reader.saw_error() && success
                {
                    return self.broke(
                        Reason::UpstreamFailed,
                        "the model server ended its stream before the answer was complete",
                        out,
                    );
                }
                reader.usage()
            }
            Answer::Json(reader) => {
                reader.finish(out);
                reader.usage()
            }
            Answer::Opaque => None,
        };
        self.learn(usage);
        self.observed.exchange.end(Ending::Completed);
        Close::Clean
    }

    fn is_success(&self) -> bool {
        self.observed
            .exchange
            .status
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// The model server's connection broke in the middle of its answer.
    #[must_use]
    pub fn upstream_broke(self, out: &mut impl FnMut(Bytes)) -> Close {
        self.broke(
            Reason::UpstreamFailed,
            "the connection to the model server broke in the middle of its answer",
            out,
        )
    }

    /// The route's timeout expired in the middle of the answer.
    #[must_use]
    pub fn timed_out(self, out: &mut impl FnMut(Bytes)) -> Close {
        self.broke(
            Reason::Timeout,
            "the route's request timeout expired in the middle of the answer",
            out,
        )
    }

    /// When the whole request must have ended.
    #[must_use]
    pub fn deadline(&self) -> Option<signals::Time> {
        let timeout = self.observed.choice.rule()?.timeouts.request?;
        Some(self.observed.exchange.arrived + timeout)
    }

    fn broke(mut self, reason: Reason, message: &str, out: &mut impl FnMut(Bytes)) -> Close {
        let exchange = &mut self.observed.exchange;
        let close = match &mut self.reader {
            Answer::Events(reader) => {
                // What is left of an unfinished event must not swallow the error event.
                reader.abandon(out);
                let dialect = exchange.api.dialect();
                let refusal = Refusal::new(reason, message);
                out(payload::error_event(
                    dialect,
                    &refusal.api_error(dialect, exchange.request_id()),
                ));
                Close::Clean
            }
            Answer::Json(_) | Answer::Opaque => Close::Abort,
        };
        exchange.end(Ending::Refused(reason));
        close
    }

    /// Corrects the prefix index by what the model server says it really had in its cache.
    fn learn(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        if let (Some(pooled), Some(endpoint)) = (&self.observed.pooled, &self.observed.endpoint) {
            pooled.learn(endpoint, &usage);
        }
        self.observed.exchange.usage = Some(usage);
    }
}

impl Drop for Observing {
    /// A client may close right after the end marker (openai-python since 2.7 does): that is a complete answer.
    fn drop(&mut self) {
        let usage = match &self.reader {
            Answer::Events(reader) if reader.saw_end() => reader.usage(),
            _ => return,
        };
        self.learn(usage);
        self.observed.exchange.end(Ending::Completed);
    }
}

/// Answers of pools are read; what cannot be read, or comes from a plain Service, passes untouched.
fn reader_for(observed: &Observed, headers: &HeaderMap) -> Answer {
    if observed.pooled.is_none() || headers.contains_key(CONTENT_ENCODING) {
        return Answer::Opaque;
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let api = observed.exchange.api;
    if essence.eq_ignore_ascii_case("text/event-stream") {
        Answer::Events(Box::new(StreamReader::new(api, observed.rename.clone())))
    } else if essence.eq_ignore_ascii_case("application/json") && api.reads_body() {
        Answer::Json(Box::new(JsonResponse::new(api, observed.rename.clone())))
    } else {
        Answer::Opaque
    }
}

fn prepare_head(observed: &Observed, headers: &mut HeaderMap, streamed: bool, rewritten: bool) {
    headers::strip_hop_by_hop(headers);
    // The length changes with the model name, and an error event may still follow a stream.
    if streamed || rewritten {
        headers.remove(CONTENT_LENGTH);
    }
    if streamed {
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache"));
        headers
            .entry(ACCEL_BUFFERING)
            .or_insert(HeaderValue::from_static("no"));
    }
    for filters in observed.choice.filters() {
        routing::apply_response_filters(filters, headers);
        for filter in filters {
            if let Filter::Cors(policy) = filter {
                cors::decorate(policy, observed.origin.as_ref(), headers);
            }
        }
    }
    if observed.exchange.core.settings().expose_endpoint
        && let Some(value) = observed
            .endpoint
            .as_ref()
            .and_then(|endpoint| HeaderValue::from_str(endpoint.name()).ok())
    {
        headers.insert(ENDPOINT_HEADER, value);
    }
    observed.exchange.stamp(headers);
}
