//! Phase three: the request goes to an endpoint, and to the next one if the first cannot serve it.
//!
//! A [`Dispatch`] holds the ordered list of endpoints, best first, and the reservation on the current one.
//! Until the first byte of an answer is there, the door reports failures and gets back the verdict: try the
//! next endpoint, or send this error. The bookkeeping follows the endpoint that really serves.

mod filters;
mod plain;
mod pooled;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use payload::{Body, Rename};
use resources::{AppProtocol, BackendTarget, Retry, Timeouts};
use scheduling::{Flight, HeaderChange, HeaderChanges, Scheduler};
use signals::{Endpoint, Reservation, Time};

use smallvec::SmallVec;
use targets::Targets;

use crate::budget::Claim;
use crate::core::PoolView;
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::headers;
use crate::observer::Picked;
use crate::observing::Observing;
use crate::reading::ReadBody;
use crate::received::{Choice, Step};
use crate::record::{AttemptFailure, FailedAttempt};
use crate::reply::Reply;

/// A request on its way to an endpoint.
pub struct Dispatch {
    pub(crate) exchange: Box<Exchange>,
    pub(crate) choice: Choice,
    pub(crate) targets: Targets,
    pub(crate) protocol: AppProtocol,
    pub(crate) pooled: Option<Pooled>,
    pub(crate) rename: Option<Rename>,
    body: Outgoing,
    /// Whether the body was sent compressed and goes on decompressed.
    decoded: bool,
    mirrors: Vec<MirrorCopy>,
    origin: Option<HeaderValue>,
    claim: Option<Claim>,
}

/// What only requests to pools carry.
pub(crate) struct Pooled {
    pub(crate) view: PoolView,
    pub(crate) choices: Vec<scheduling::Choice>,
    /// Hashes of the prompt's full blocks, which are those an engine caches.
    pub(crate) full_blocks: Vec<u64>,
    /// Blocks of the prompt, a partial last one included.
    pub(crate) total_blocks: u32,
    pub(crate) reservation: Option<Reservation>,
    /// What the scheduler that chose keeps until the request has ended.
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) flight: Flight,
    /// Changes of the request's headers that the scheduler asked for.
    pub(crate) headers: HeaderChanges,
    /// Bookings on the endpoints that work on the prompt before the answer begins.
    pub(crate) helpers: SmallVec<[Reservation; 1]>,
    /// Another endpoint computes the prompt.
    pub(crate) prefilled_elsewhere: bool,
}

/// The body to send.
pub(crate) enum Outgoing {
    /// No body.
    Empty,
    /// The whole body; it can be sent again.
    Whole(Body),
    /// The door streams it as it arrives; it cannot be sent again once begun.
    Streamed,
}

/// A copy of the request for a mirror: its answer is read and dropped.
pub struct MirrorCopy {
    /// Where it goes.
    pub endpoint: Arc<Endpoint>,
    /// What the endpoint speaks in clear text.
    pub protocol: AppProtocol,
}

/// What to do after an endpoint could not serve the request.
pub enum Verdict {
    /// Send it to [`Dispatch::endpoint`] again, which is another one now, after this pause.
    Again(Box<Dispatch>, Duration),
    /// Send this answer; the request has ended.
    Reply(Reply),
}

/// Applies the rule's filters and finds the endpoints of the chosen backend.
pub(crate) fn prepare(
    mut exchange: Box<Exchange>,
    choice: &Choice,
    read: Option<ReadBody>,
    has_body: bool,
) -> Step {
    exchange.routed_after = Some(exchange.core.since(exchange.arrived));
    if !exchange.door.proxied {
        filters::publish_model(&mut exchange);
    }
    let choice = choice.clone();
    let origin = exchange.parts.headers.get(http::header::ORIGIN).cloned();
    let mirrors = match filters::apply(&mut exchange, &choice) {
        Ok(mirrors) => mirrors,
        Err(refusal) => return Step::Reply(exchange.refuse(&refusal)),
    };
    let route = choice.route.clone();
    let target = route
        .rules
        .get(choice.rule)
        .and_then(|rule| rule.backends.get(choice.backend))
        .map(|backend| &backend.target);
    let draft = Draft {
        choice,
        mirrors,
        origin,
        has_body,
    };
    match target {
        Some(BackendTarget::Pool(pool)) => pooled::prepare(exchange, draft, &pool.name, read),
        Some(BackendTarget::Service(service)) => plain::prepare(exchange, draft, service, read),
        Some(BackendTarget::Invalid(_)) | None => Step::Reply(exchange.refuse(&Refusal::new(
            Reason::InvalidBackend,
            "the matched rule has no usable backend",
        ))),
    }
}

/// What both kinds of backend need besides their endpoints.
pub(crate) struct Draft {
    choice: Choice,
    mirrors: Vec<MirrorCopy>,
    origin: Option<HeaderValue>,
    has_body: bool,
}

impl Draft {
    /// The body to send when the scan did not ask for a change.
    fn outgoing(&self, read: Option<&ReadBody>) -> Outgoing {
        match read {
            Some(read) => Outgoing::Whole(read.original.clone()),
            None if self.has_body => Outgoing::Streamed,
            None => Outgoing::Empty,
        }
    }
}

impl Dispatch {
    fn assemble(
        exchange: Box<Exchange>,
        draft: Draft,
        targets: Targets,
        protocol: AppProtocol,
        body: Outgoing,
    ) -> Box<Self> {
        let Draft {
            choice,
            mirrors,
            origin,
            ..
        } = draft;
        let mut dispatch = Self {
            exchange,
            choice,
            targets,
            protocol,
            pooled: None,
            rename: None,
            body,
            decoded: false,
            mirrors,
            origin,
            claim: None,
        };
        if dispatch.exchange.door.proxied {
            return Box::new(dispatch);
        }
        let parts = &mut dispatch.exchange.parts;
        let host = parts.headers.remove(http::header::HOST);
        headers::prepare_upstream(&mut parts.headers);
        if let Some(host) = host {
            parts.headers.insert(http::header::HOST, host);
        }
        // The door frames the body anew from its real length.
        parts.headers.remove(http::header::CONTENT_LENGTH);
        Box::new(dispatch)
    }

    /// The endpoint to send to now.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.targets.current()
    }

    /// All endpoints the request may go to, best first.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.targets.all()
    }

    /// What the scheduler decided, for requests to pools.
    #[must_use]
    pub fn record(&self) -> Option<&crate::Record> {
        self.exchange.record.as_deref()
    }

    /// Id of the request, the client's or a new one.
    #[must_use]
    pub fn request_id(&self) -> &HeaderValue {
        &self.exchange.request_id
    }

    /// Whether the client asked for a streamed answer.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        self.record().is_some_and(|record| record.stream)
    }

    /// The proxy in front says that the endpoint at `address` (`ip:port`) served the request: the reservation and the
    /// index entry move there. An address that is not on the list changes nothing.
    pub fn served_by(&mut self, address: &str) {
        let Ok(address) = address.trim().parse() else {
            return;
        };
        let Some(skipped) = self.endpoint().cloned() else {
            return;
        };
        if skipped.address() == address || !self.targets.move_to(address) {
            return;
        }
        if let Some(pooled) = &mut self.pooled {
            pooled.unbook(&skipped);
        }
        self.exchange.failed_attempts.push(FailedAttempt {
            endpoint: skipped.name().clone(),
            cause: AttemptFailure::Connect,
        });
        self.book(self.exchange.core.now());
    }

    /// What the endpoint speaks in clear text.
    #[must_use]
    pub fn protocol(&self) -> AppProtocol {
        self.protocol
    }

    /// Method to send.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.exchange.parts.method
    }

    /// Path and query to send.
    #[must_use]
    pub fn target(&self) -> &Uri {
        &self.exchange.parts.uri
    }

    /// Headers to send, `Host` among them, without `Content-Length`.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.exchange.parts.headers
    }

    /// The body to send: `Some` if it is held whole (possibly empty), `None` if the door streams it.
    #[must_use]
    pub fn body(&self) -> Option<Body> {
        match &self.body {
            Outgoing::Empty => Some(Body::new()),
            Outgoing::Whole(body) => Some(body.clone()),
            Outgoing::Streamed => None,
        }
    }

    /// Whether the body differs from the one the client sent.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.decoded || self.rename.is_some()
    }

    /// Whether the body came compressed and goes on decompressed, because its model was replaced.
    #[must_use]
    pub fn is_decoded(&self) -> bool {
        self.decoded
    }

    /// Copies to send, once.
    pub fn take_mirrors(&mut self) -> Vec<MirrorCopy> {
        std::mem::take(&mut self.mirrors)
    }

    /// Whether the answer is held back until its first body byte, because another endpoint could still serve.
    #[must_use]
    pub fn holds_head(&self) -> bool {
        self.pooled.is_some() && !matches!(self.body, Outgoing::Streamed)
    }

    /// Changes of the request's headers that the scheduler asked for. [`Dispatch::headers`] has them already.
    #[must_use]
    pub fn header_changes(&self) -> &[HeaderChange] {
        self.pooled.as_ref().map_or(&[], |pooled| &pooled.headers)
    }

    fn timeouts(&self) -> Timeouts {
        self.choice
            .rule()
            .map(|rule| rule.timeouts)
            .unwrap_or_default()
    }

    /// When the whole request must have ended.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.timeouts()
            .request
            .map(|timeout| self.exchange.arrived + timeout)
    }

    /// How long one attempt may take to its first byte.
    #[must_use]
    pub fn attempt_timeout(&self) -> Option<Duration> {
        self.timeouts().backend_request
    }

    fn retry(&self) -> Option<&Retry> {
        self.choice.rule().and_then(|rule| rule.retry.as_ref())
    }

    /// Whether an answer with this status is to be dropped and another endpoint to be tried
    /// (then call [`Dispatch::failed`] with [`AttemptFailure::Status`]).
    #[must_use]
    pub fn wants_retry(&self, status: StatusCode) -> bool {
        self.may_retry(AttemptFailure::Status(status.as_u16()))
    }

    /// A pool request goes to the next endpoint of the list on 503 and on a broken connection; anything else
    /// only if the route asks for it, or if nothing was sent yet.
    fn may_retry(&self, cause: AttemptFailure) -> bool {
        let replayable = !matches!(self.body, Outgoing::Streamed);
        let by_route = self.retry().is_some_and(|retry| {
            let listed = match cause {
                AttemptFailure::Status(status) => retry.codes.contains(&status),
                AttemptFailure::Connect | AttemptFailure::Broken => true,
                AttemptFailure::Timeout => retry.codes.contains(&504),
            };
            listed
                && replayable
                && self.targets.attempts() <= usize::try_from(retry.attempts).unwrap_or(usize::MAX)
        });
        let by_list = self.targets.has_untried()
            && match cause {
                AttemptFailure::Connect => true,
                AttemptFailure::Broken => {
                    replayable && (self.pooled.is_some() || self.method().is_idempotent())
                }
                AttemptFailure::Status(503) => replayable && self.pooled.is_some(),
                AttemptFailure::Status(_) | AttemptFailure::Timeout => false,
            };
        by_route || by_list
    }

    /// The current endpoint could not serve the request. Its reservation is given back and the next endpoint's taken.
    /// `body_intact` is false when a streamed body has begun to flow.
    #[must_use]
    pub fn failed(mut self: Box<Self>, cause: AttemptFailure, body_intact: bool) -> Verdict {
        let now = self.exchange.core.now();
        if let Some(endpoint) = self.endpoint().cloned() {
            if matches!(cause, AttemptFailure::Connect | AttemptFailure::Broken) {
                endpoint.health().note_connect_failure(now);
            }
            if let Some(pooled) = &mut self.pooled {
                pooled.unbook(&endpoint);
            }
            self.exchange.failed_attempts.push(FailedAttempt {
                endpoint: endpoint.name().clone(),
                cause,
            });
        }
        let streamed = matches!(self.body, Outgoing::Streamed);
        let again = self.may_retry(cause) && (body_intact || !streamed);
        let cycle = again && self.retry().is_some();
        if !again || !self.targets.advance(cycle) {
            return Verdict::Reply(self.give_up(cause));
        }
        self.book(now);
        let pause = match (self.retry(), cause) {
            (Some(retry), AttemptFailure::Status(_) | AttemptFailure::Timeout) => retry.backoff,
            _ => Duration::ZERO,
        };
        Verdict::Again(self, pause)
    }

    fn give_up(self, cause: AttemptFailure) -> Reply {
        let tried = self.targets.attempts();
        let refusal = match cause {
            AttemptFailure::Timeout => Refusal::new(
                Reason::Timeout,
                format!(
                    "the model server did not answer within the route's timeout ({tried} tried)"
                ),
            ),
            AttemptFailure::Connect | AttemptFailure::Broken | AttemptFailure::Status(_) => {
                Refusal::new(
                    Reason::UpstreamUnreachable,
                    format!(
                        "{tried} of {} candidate endpoints tried; the last failure was: {}",
                        self.targets.len(),
                        cause.label()
                    ),
                )
            }
        };
        self.exchange.refuse(&refusal)
    }

    /// The request's own deadline expired before an answer began.
    #[must_use]
    pub fn expired(self) -> Reply {
        self.exchange.refuse(&Refusal::new(
            Reason::Timeout,
            "the route's request timeout expired before the model server answered",
        ))
    }

    /// A streamed request body broke off on the client's side, or the door met a defect of its own.
    #[must_use]
    pub fn abandoned(self, refusal: &Refusal) -> Reply {
        self.exchange.refuse(refusal)
    }

    fn tell_picked(&self) {
        let exchange = &self.exchange;
        let Some(flow) = &exchange.flow else {
            return;
        };
        let request_bytes = match &self.body {
            Outgoing::Whole(body) => body.len() as u64,
            Outgoing::Empty | Outgoing::Streamed => 0,
        };
        exchange.core.observer().picked(&Picked {
            flow,
            model: exchange.model.as_ref(),
            target_model: exchange.target_model.as_ref(),
            request_bytes,
        });
    }

    /// Takes the reservation on the current endpoint and promises its prompt blocks to the prefix index.
    fn book(&mut self, now: Time) {
        let Some(endpoint) = self.endpoint().cloned() else {
            return;
        };
        let block_tokens = self.exchange.core.settings().block_tokens;
        if let Some(pooled) = &mut self.pooled {
            pooled.book(&endpoint, block_tokens, now);
        }
    }

    /// The answer has begun: the request now only watches it. `response` is made ready for the client.
    #[must_use]
    pub fn accept(self: Box<Self>, response: &mut http::response::Parts) -> Observing {
        Observing::begin(*self, response)
    }

    pub(crate) fn into_observed(self) -> Observed {
        let endpoint = self.endpoint().cloned();
        Observed {
            exchange: self.exchange,
            choice: Some(self.choice),
            endpoint,
            pooled: self.pooled,
            rename: self.rename,
            origin: self.origin,
        }
    }
}

impl Observed {
    /// Changes of the answer's headers that the scheduler asks for.
    pub(crate) fn answer_headers(&self) -> HeaderChanges {
        match (&self.pooled, &self.endpoint) {
            (Some(pooled), Some(served)) => {
                let now = self.exchange.core.now();
                pooled.scheduler.answer_headers(&pooled.flight, served, now)
            }
            _ => HeaderChanges::new(),
        }
    }
}

/// What is left of a dispatch once its answer has begun; the request body and its budget are free.
pub(crate) struct Observed {
    pub(crate) exchange: Box<Exchange>,
    /// `None` for an answer that no dispatch of ours led to.
    pub(crate) choice: Option<Choice>,
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    pub(crate) pooled: Option<Pooled>,
    pub(crate) rename: Option<Rename>,
    pub(crate) origin: Option<HeaderValue>,
}
