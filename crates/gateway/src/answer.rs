//! Answer bodies on their way to the client, watched by the lifecycle.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lifecycle::{Close, Observing, Reply};
use tokio::time::Sleep;

use crate::BoxError;

/// What the gateway sends to a client.
pub(crate) enum Answer {
    /// An answer of the gateway's own.
    Own(Option<Bytes>),
    /// A model server's answer under way.
    Flowing(Box<Flow>),
}

/// A model server's answer under way.
pub(crate) struct Flow {
    incoming: Option<Incoming>,
    /// The frame that was awaited before the head was sent.
    first: Option<Frame<Bytes>>,
    observing: Option<Observing>,
    ready: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    deadline: Option<Pin<Box<Sleep>>>,
    aborted: bool,
    hint: SizeHint,
}

impl Answer {
    /// Turns a reply of the lifecycle into a response.
    pub(crate) fn of_reply(reply: Reply) -> http::Response<Self> {
        let mut response = http::Response::new(Self::Own(Some(reply.body)));
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response
    }

    /// For a client that is no longer there to read it.
    pub(crate) fn gone() -> http::Response<Self> {
        let mut response = http::Response::new(Self::Own(None));
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    }
}

impl Flow {
    /// A flow of `incoming` after `first`. `left` is the time until the request's deadline.
    pub(crate) fn new(
        first: Option<Frame<Bytes>>,
        incoming: Incoming,
        observing: Observing,
        left: Option<Duration>,
        fixed_length: bool,
    ) -> Self {
        let hint = if fixed_length && first.is_none() {
            incoming.size_hint()
        } else {
            SizeHint::default()
        };
        Self {
            incoming: Some(incoming),
            first,
            observing: Some(observing),
            ready: VecDeque::new(),
            trailers: None,
            deadline: left.map(|left| Box::pin(tokio::time::sleep(left))),
            aborted: false,
            hint,
        }
    }

    fn take_frame(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(chunk) => {
                if let Some(observing) = &mut self.observing {
                    observing.data(chunk, &mut |piece| self.ready.push_back(piece));
                }
            }
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
    }

    /// Ends the watching in one of the lifecycle's ways; what it still has to say goes to `ready`.
    fn close(&mut self, how: impl FnOnce(Observing, &mut VecDeque<Bytes>) -> Close) {
        self.incoming = None;
        self.deadline = None;
        if let Some(observing) = self.observing.take() {
            self.aborted = how(observing, &mut self.ready) == Close::Abort;
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Some(frame) = self.first.take() {
                self.take_frame(frame);
                continue;
            }
            let Some(incoming) = &mut self.incoming else {
                if std::mem::take(&mut self.aborted) {
                    return Poll::Ready(Some(Err("the model server broke off its answer".into())));
                }
                return Poll::Ready(
                    self.trailers
                        .take()
                        .map(|trailers| Ok(Frame::trailers(trailers))),
                );
            };
            // Before the body, or an answer that never pauses would have no deadline.
            let expired = self
                .deadline
                .as_mut()
                .is_some_and(|sleep| sleep.as_mut().poll(context).is_ready());
            if expired {
                self.close(|observing, ready| {
                    observing.timed_out(&mut |piece| ready.push_back(piece))
                });
                continue;
            }
            match Pin::new(incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => self.take_frame(frame),
                Poll::Ready(None) => {
                    self.close(|observing, ready| {
                        observing.end(&mut |piece| ready.push_back(piece))
                    });
                }
                Poll::Ready(Some(Err(_))) => {
                    self.close(|observing, ready| {
                        observing.upstream_broke(&mut |piece| ready.push_back(piece))
                    });
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Own(body) => Poll::Ready(
                body.take()
                    .filter(|body| !body.is_empty())
                    .map(|body| Ok(Frame::data(body))),
            ),
            Self::Flowing(flow) => flow.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Self::Flowing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            Self::Flowing(flow) => flow.hint,
        }
    }
}
