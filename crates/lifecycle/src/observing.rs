//! Phase four: the answer flows to the client, and the gateway learns from it.
//!
//! Nothing is buffered but the tail of an unfinished server-sent event, so that an error event never lands
//! inside another event. A stream that breaks off, or ends without its end marker, ends in an error event:
//! SDKs take a clean end for success.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use payload::{GrpcTap, JsonResponse, Progress, StreamReader, StreamTap, Usage};
use resources::Filter;
use scheduling::{HeaderChange, HeaderChanges, Report, TokenUsage};
use signals::Reservation;
use smallvec::SmallVec;

use std::time::Duration;

use crate::cors;
use crate::dispatch::{Dispatch, Observed};
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::headers;
use crate::received::Choice;
use crate::record::Ending;

/// Response header that names the serving endpoint, if the settings ask for it.
pub const ENDPOINT_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-endpoint");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An answer under way. Dropped before its end, the request counts as cancelled by the client, and all it held is freed.
pub struct Observing {
    observed: Observed,
    reader: Answer,
    /// Whether no byte of the body has come yet.
    untouched: bool,
    /// Changes of the answer's headers that the scheduler asked for.
    changes: HeaderChanges,
}

/// How the answer's body is looked into.
enum Answer {
    /// Whole events, which may be changed, and after which an error event may follow.
    Events(Box<StreamReader>),
    /// Events that pass as they come, because another proxy owns the exchange.
    Tap(Box<StreamTap>),
    Grpc(Box<GrpcTap>),
    Json(Box<JsonResponse>),
    Opaque,
}

/// Of the streams whose bodies need not be watched, one in so many is, so that the endpoint's pace stays learned.
const WATCHED_ANYWAY: u64 = 32;

/// Whether an answer's body has to be shown to the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Something in it is needed: token counts, a name to restore, the time of the first token.
    Body,
    /// Nothing in it is needed. If the door spares it, it calls [`Observing::assume_first_token`] after this time.
    Head {
        /// When the first token is to be expected, by the endpoint's learned pace.
        first_token_in: Option<Duration>,
    },
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
        exchange.served_status = exchange.status;
        if let Some(endpoint) = &observed.endpoint {
            endpoint.health().note_success();
            exchange.served = Some(endpoint.name().clone());
        }
        let reader = reader_for(&observed, &response.headers);
        let changes = observed.answer_headers();
        if !observed.exchange.door.proxied {
            prepare_head(&observed, &reader, &mut response.headers);
            scheduling::apply(&changes, &mut response.headers);
        }
        let streamed = matches!(reader, Answer::Events(_) | Answer::Tap(_) | Answer::Grpc(_));
        if !streamed && let Some(pooled) = &mut observed.pooled {
            pooled.prefill_done();
        }
        Self {
            observed,
            reader,
            untouched: true,
            changes,
        }
    }

    /// An answer that no dispatch led to: someone else gave it.
    pub(crate) fn detached(
        mut exchange: Box<Exchange>,
        response: &mut http::response::Parts,
    ) -> Self {
        exchange.status = Some(response.status.as_u16());
        exchange.served_status = exchange.status;
        let observed = Observed {
            exchange,
            choice: None,
            endpoint: None,
            pooled: None,
            rename: None,
            origin: None,
        };
        let reader = reader_for(&observed, &response.headers);
        Self {
            observed,
            reader,
            untouched: true,
            changes: HeaderChanges::new(),
        }
    }

    /// Changes of the answer's headers that the scheduler asked for. A gateway's answer has them already; another proxy
    /// has to be told.
    #[must_use]
    pub fn header_changes(&self) -> &[HeaderChange] {
        &self.changes
    }

    /// What the scheduler has to tell the proxy about the request, by the token counts seen so far.
    #[must_use]
    pub fn reports(&self) -> SmallVec<[Report; 1]> {
        let Some(pooled) = &self.observed.pooled else {
            return SmallVec::new();
        };
        let usage = self.usage().unwrap_or_default();
        pooled.scheduler.reports(&TokenUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage
                .prompt_tokens
                .zip(usage.output_tokens)
                .map(|(a, b)| a + b),
            cached_tokens: usage.cached_tokens,
        })
    }

    /// Whether the answer is read as one document, or as frames of a protocol whose readers wait for its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.reader, Answer::Json(_) | Answer::Grpc(_))
    }

    /// Whether the bytes handed on may differ from those taken in.
    #[must_use]
    pub fn changes(&self) -> bool {
        matches!(self.reader, Answer::Events(_)) || self.observed.rename.is_some()
    }

    /// Whether the body has to be shown to the lifecycle.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let exchange = &self.observed.exchange;
        match self.reader {
            Answer::Opaque => Watch::Head {
                first_token_in: None,
            },
            Answer::Tap(_) if !exchange.asked_usage => {
                let reservation = self
                    .observed
                    .pooled
                    .as_ref()
                    .and_then(|pooled| pooled.reservation.as_ref());
                let expected = reservation.and_then(Reservation::expected_first_token);
                let sampled = exchange
                    .core
                    .entropy()
                    .draw()
                    .is_multiple_of(WATCHED_ANYWAY);
                if expected.is_some() && !sampled {
                    Watch::Head {
                        first_token_in: expected,
                    }
                } else {
                    Watch::Body
                }
            }
            Answer::Tap(_) | Answer::Events(_) | Answer::Grpc(_) | Answer::Json(_) => Watch::Body,
        }
    }

    /// The body is not shown, and its first token is taken to have come: the prefill part of the load is given back.
    pub fn assume_first_token(&mut self) {
        if let Some(pooled) = &mut self.observed.pooled {
            pooled.prefill_done();
        }
    }

    /// A piece of the body arrived; `out` is handed what may go to the client now.
    pub fn data(&mut self, chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        self.observed.exchange.response_bytes += chunk.len() as u64;
        let proxied = self.observed.exchange.door.proxied;
        if proxied
            && matches!(self.reader, Answer::Events(_))
            && self.untouched
            && !is_event(&chunk)
        {
            // It is called a stream of events and is none: nothing in it can be renamed, and nothing is to be held.
            self.reader = Answer::Opaque;
        }
        self.untouched = false;
        let progress = match &mut self.reader {
            Answer::Events(reader) => reader.push(chunk, out),
            Answer::Tap(tap) => {
                let progress = tap.push(&chunk);
                out(chunk);
                progress
            }
            Answer::Grpc(tap) => {
                let progress = tap.push(&chunk);
                out(chunk);
                progress
            }
            Answer::Json(reader) => {
                reader.push(chunk, out);
                Progress::default()
            }
            Answer::Opaque => {
                out(chunk);
                Progress::default()
            }
        };
        if progress.first_content {
            self.first_content();
        }
    }

    fn first_content(&mut self) {
        let exchange = &mut self.observed.exchange;
        let now = exchange.core.now();
        exchange.ttft = Some(now.saturating_since(exchange.arrived));
        if let Some(pooled) = &mut self.observed.pooled {
            pooled.first_token(now);
        }
    }

    /// The model server ended its answer.
    #[must_use]
    pub fn end(mut self, out: &mut impl FnMut(Bytes)) -> Close {
        let success = self.is_success();
        let mut ending = Ending::Completed;
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
            Answer::Tap(tap) => {
                tap.finish();
                if success && !tap.is_complete() {
                    ending = Ending::Refused(Reason::UpstreamFailed);
                }
                tap.usage()
            }
            Answer::Grpc(tap) => tap.usage(),
            Answer::Opaque => None,
        };
        self.learn(usage);
        self.observed.exchange.end(ending);
        Close::Clean
    }

    /// The body was not shown, and the answer has ended.
    pub fn end_unwatched(mut self) {
        self.observed.exchange.end(Ending::Completed);
    }

    /// Token counts seen so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match &self.reader {
            Answer::Events(reader) => reader.usage(),
            Answer::Tap(tap) => tap.usage(),
            Answer::Grpc(tap) => tap.usage(),
            Answer::Json(reader) => reader.usage(),
            Answer::Opaque => None,
        }
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
        let timeout = self.observed.choice.as_ref()?.rule()?.timeouts.request?;
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
            Answer::Json(_) | Answer::Opaque | Answer::Tap(_) | Answer::Grpc(_) => Close::Abort,
        };
        exchange.end(Ending::Refused(reason));
        close
    }

    /// Corrects the prefix index by what the model server says it really had in its cache.
    fn learn(&mut self, usage: Option<Usage>) {
        let now = self.observed.exchange.core.now();
        if let Some(pooled) = &mut self.observed.pooled {
            let output_tokens = usage.and_then(|usage| usage.output_tokens);
            pooled.flight.completed(output_tokens, now);
        }
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
            Answer::Tap(tap) if tap.saw_end() => tap.usage(),
            _ => return,
        };
        self.learn(usage);
        self.observed.exchange.end(Ending::Completed);
    }
}

/// Whether bytes can be the beginning of an event stream (WHATWG HTML, section 9.2).
fn is_event(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start();
    [
        &b"data"[..],
        b"event",
        b"id",
        b"retry",
        b":",
        b"\xef\xbb\xbf",
    ]
    .iter()
    .any(|field| field.starts_with(&line[..line.len().min(field.len())]))
}

/// Answers of pools are read; what cannot be read, or comes from a plain Service, passes untouched.
fn reader_for(observed: &Observed, headers: &HeaderMap) -> Answer {
    let proxied = observed.exchange.door.proxied;
    if (observed.pooled.is_none() && !proxied) || headers.contains_key(CONTENT_ENCODING) {
        return Answer::Opaque;
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let api = observed.exchange.api;
    let rename = observed.rename.clone();
    let is = |wanted: &str| essence.eq_ignore_ascii_case(wanted);
    if is("text/event-stream") {
        if proxied && rename.is_none() {
            return Answer::Tap(Box::new(StreamTap::new(api)));
        }
        Answer::Events(Box::new(StreamReader::new(api, rename)))
    } else if is("application/json") && (api.reads_body() || proxied) {
        Answer::Json(Box::new(JsonResponse::new(api, rename)))
    } else if api.is_grpc() && essence.starts_with("application/grpc") {
        Answer::Grpc(Box::new(GrpcTap::new(api)))
    } else {
        Answer::Opaque
    }
}

fn prepare_head(observed: &Observed, reader: &Answer, headers: &mut HeaderMap) {
    let streamed = matches!(reader, Answer::Events(_));
    let rewritten = observed.rename.is_some() && !matches!(reader, Answer::Opaque);
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
    let choice = observed.choice.as_ref();
    for filters in choice.into_iter().flat_map(Choice::filters) {
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
