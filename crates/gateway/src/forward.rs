//! Sends a dispatched request: attempt, fall back, and hand the answer over to the client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lifecycle::{AttemptFailure, Core, Dispatch, MirrorCopy, Reason, Refusal, Verdict};
use signals::Time;

use crate::answer::{Answer, Flow};
use crate::outgoing::{Fault, Outgoing, StreamSlot};
use crate::shared::Shared;

/// Bytes of a mirror's answer that are read before its connection is dropped.
const MIRROR_ANSWER_MAX: usize = 1 << 20;
/// A mirror that takes longer is dropped.
const MIRROR_TIMEOUT: Duration = Duration::from_secs(60);

/// The client's side of the request body.
pub(crate) enum ClientBody {
    /// Read already (or never there); only trailers are left.
    Read(Option<HeaderMap>),
    /// To be streamed.
    Stream(StreamSlot),
}

impl ClientBody {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Read(_) => None,
            Self::Stream(slot) => slot.fault(),
        }
    }

    fn is_intact(&self) -> bool {
        match self {
            Self::Read(_) => true,
            Self::Stream(slot) => slot.is_intact(),
        }
    }
}

struct Answered {
    response: Response<Incoming>,
    first: Option<Frame<Bytes>>,
}

pub(crate) async fn forward(
    shared: &Arc<Shared>,
    mut dispatch: Box<Dispatch>,
    body: ClientBody,
) -> Response<Answer> {
    for copy in dispatch.take_mirrors() {
        mirror(shared, &dispatch, copy);
    }
    let deadline = dispatch.deadline();
    let mut pause = Duration::ZERO;
    loop {
        let left = time_left(&shared.core, deadline);
        let result = tokio::select! {
            biased;
            result = attempt_after(pause, shared, &dispatch, &body) => result,
            () = sleep_or_forever(left) => return Answer::of_reply(dispatch.expired()),
        };
        let cause = match result {
            Ok(answered) => return hand_over(&shared.core, dispatch, answered, deadline),
            Err(cause) => cause,
        };
        match body.fault() {
            None => {}
            Some(Fault::Stalled) => {
                let refusal = Refusal::new(Reason::BodyTimeout, "the request body stalled");
                return Answer::of_reply(dispatch.abandoned(&refusal));
            }
            // Nobody reads an answer; dropping the dispatch counts the request as cancelled.
            Some(Fault::BrokenOff) => return Answer::gone(),
        }
        match dispatch.failed(cause, body.is_intact()) {
            Verdict::Again(next, backoff) => (dispatch, pause) = (next, backoff),
            Verdict::Reply(reply) => return Answer::of_reply(reply),
        }
    }
}

async fn attempt_after(
    pause: Duration,
    shared: &Arc<Shared>,
    dispatch: &Dispatch,
    body: &ClientBody,
) -> Result<Answered, AttemptFailure> {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    attempt(shared, dispatch, body).await
}

/// One try at the current endpoint, up to the first body byte where that still allows a fallback.
async fn attempt(
    shared: &Arc<Shared>,
    dispatch: &Dispatch,
    body: &ClientBody,
) -> Result<Answered, AttemptFailure> {
    let exchange = async {
        let endpoint = dispatch.endpoint().ok_or(AttemptFailure::Connect)?;
        let outgoing = match (dispatch.body(), body) {
            (Some(whole), ClientBody::Read(trailers)) => Outgoing::whole(&whole, trailers.clone()),
            (Some(whole), ClientBody::Stream(_)) => Outgoing::whole(&whole, None),
            (None, ClientBody::Stream(slot)) => Outgoing::streamed(slot.clone()),
            (None, ClientBody::Read(trailers)) => {
                Outgoing::whole(&payload::Body::new(), trailers.clone())
            }
        };
        let request = request(dispatch, outgoing);
        let response = shared
            .upstreams
            .send(endpoint, dispatch.protocol(), request)
            .await
            .map_err(|error| {
                tracing::debug!(endpoint = %endpoint.name(), %error, "attempt failed");
                if error.is_connect() {
                    AttemptFailure::Connect
                } else {
                    AttemptFailure::Broken
                }
            })?;
        if dispatch.wants_retry(response.status()) {
            return Err(AttemptFailure::Status(response.status().as_u16()));
        }
        let mut answered = Answered {
            response,
            first: None,
        };
        if dispatch.holds_head() {
            let frame = answered.response.body_mut().frame().await;
            answered.first = frame.transpose().map_err(|_| AttemptFailure::Broken)?;
        }
        Ok(answered)
    };
    match dispatch.attempt_timeout() {
        Some(limit) => tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or(Err(AttemptFailure::Timeout)),
        None => exchange.await,
    }
}

fn request(dispatch: &Dispatch, body: Outgoing) -> Request<Outgoing> {
    let announced = body.announcement();
    let mut request = Request::new(body);
    *request.method_mut() = dispatch.method().clone();
    *request.uri_mut() = dispatch.target().clone();
    *request.headers_mut() = dispatch.headers().clone();
    if let Some(names) = announced {
        request.headers_mut().insert(TRAILER, names);
    }
    request
}

fn hand_over(
    core: &Core,
    dispatch: Box<Dispatch>,
    answered: Answered,
    deadline: Option<Time>,
) -> Response<Answer> {
    let (mut head, incoming) = answered.response.into_parts();
    let had_length = head.headers.contains_key(http::header::CONTENT_LENGTH);
    let observing = dispatch.accept(&mut head);
    let fixed_length = had_length && head.headers.contains_key(http::header::CONTENT_LENGTH);
    let flow = Flow::new(
        answered.first,
        incoming,
        observing,
        time_left(core, deadline),
        fixed_length,
    );
    Response::from_parts(head, Answer::Flowing(Box::new(flow)))
}

fn time_left(core: &Core, deadline: Option<Time>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_since(core.now()))
}

async fn sleep_or_forever(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

/// Sends a copy and drops its answer. Mirrors are bounded; one too many is not sent.
fn mirror(shared: &Arc<Shared>, dispatch: &Dispatch, copy: MirrorCopy) {
    let Some(body) = dispatch.body() else { return };
    let Ok(permit) = shared.mirrors.clone().try_acquire_owned() else {
        return;
    };
    let request = request(dispatch, Outgoing::whole(&body, None));
    let shared = shared.clone();
    tokio::spawn(async move {
        let _permit = permit;
        let work = async {
            let mut response = shared
                .upstreams
                .send(&copy.endpoint, copy.protocol, request)
                .await
                .ok()?;
            let mut read = 0;
            while let Some(Ok(frame)) = response.body_mut().frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > MIRROR_ANSWER_MAX {
                    break;
                }
            }
            Some(())
        };
        if tokio::time::timeout(MIRROR_TIMEOUT, work).await.is_err() {
            tracing::debug!(endpoint = %copy.endpoint.name(), "mirrored request timed out");
        }
    });
}
