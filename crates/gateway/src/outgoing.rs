//! Request bodies on their way to a model server.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::BoxError;

/// A body to send upstream.
pub(crate) enum Outgoing {
    /// A held body: chunks as the client sent them, then its trailers.
    Whole {
        chunks: VecDeque<Bytes>,
        left: u64,
        trailers: Option<HeaderMap>,
    },
    /// The client's body as it arrives.
    Streamed {
        slot: StreamSlot,
        taken: Option<Incoming>,
        /// Runs while the client keeps the model server waiting.
        patience: Option<Pin<Box<Sleep>>>,
    },
}

/// What the client did to a body that was being streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It sent nothing for too long.
    Stalled,
    /// It went away in the middle.
    BrokenOff,
}

/// A client body that can be taken back as long as no byte of it was asked for.
#[derive(Clone)]
pub(crate) struct StreamSlot {
    body: Arc<Mutex<Option<Incoming>>>,
    hint: SizeHint,
    timeout: Duration,
    fault: Arc<OnceLock<Fault>>,
}

impl StreamSlot {
    /// `timeout` is the longest silence of the client while its bytes are waited for.
    pub(crate) fn new(body: Incoming, timeout: Duration) -> Self {
        let hint = body.size_hint();
        Self {
            body: Arc::new(Mutex::new(Some(body))),
            hint,
            timeout,
            fault: Arc::default(),
        }
    }

    /// Why the body could not be sent whole, if that was the client's doing.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    /// Whether no byte was asked for yet, so that the body can still be sent elsewhere.
    pub(crate) fn is_intact(&self) -> bool {
        self.body
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    fn take(&self) -> Option<Incoming> {
        self.body
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Outgoing {
    pub(crate) fn whole(body: &payload::Body, trailers: Option<HeaderMap>) -> Self {
        let chunks: VecDeque<Bytes> = body
            .chunks()
            .iter()
            .filter(|chunk| !chunk.is_empty())
            .cloned()
            .collect();
        Self::Whole {
            chunks,
            left: body.len() as u64,
            trailers,
        }
    }

    pub(crate) fn streamed(slot: StreamSlot) -> Self {
        Self::Streamed {
            slot,
            taken: None,
            patience: None,
        }
    }

    /// Value of `Trailer` for trailers that are known: HTTP/1.1 sends none that were not announced, and a client
    /// that speaks HTTP/2 may have sent them unannounced (RFC 9110 §6.6.2).
    pub(crate) fn announcement(&self) -> Option<HeaderValue> {
        let Self::Whole {
            trailers: Some(trailers),
            ..
        } = self
        else {
            return None;
        };
        let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        HeaderValue::from_str(&names.join(", ")).ok()
    }
}

/// Asks the client for the next piece of its body.
fn poll_client(
    body: &mut Incoming,
    slot: &StreamSlot,
    patience: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    let polled = Pin::new(body).poll_frame(context);
    if polled.is_ready() {
        *patience = None;
        return polled.map_err(|error| {
            let _ = slot.fault.set(Fault::BrokenOff);
            error.into()
        });
    }
    let sleep = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(slot.timeout)));
    std::task::ready!(sleep.as_mut().poll(context));
    let _ = slot.fault.set(Fault::Stalled);
    Poll::Ready(Some(Err("the client stalled in its body".into())))
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole {
                chunks,
                left,
                trailers,
            } => {
                if let Some(chunk) = chunks.pop_front() {
                    *left = left.saturating_sub(chunk.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Poll::Ready(
                    trailers
                        .take()
                        .map(|trailers| Ok(Frame::trailers(trailers))),
                )
            }
            Self::Streamed {
                slot,
                taken,
                patience,
            } => {
                if taken.is_none() {
                    *taken = slot.take();
                }
                let Some(body) = taken else {
                    return Poll::Ready(Some(Err("the request body was already sent once".into())));
                };
                poll_client(body, slot, patience, context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole {
                chunks, trailers, ..
            } => chunks.is_empty() && trailers.is_none(),
            Self::Streamed { taken, .. } => taken.as_ref().is_some_and(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // With trailers the length stays open: HTTP/1.1 sends trailers only after a chunked body.
            Self::Whole {
                trailers: Some(_), ..
            } => SizeHint::default(),
            Self::Whole { left, .. } => SizeHint::with_exact(*left),
            Self::Streamed { slot, .. } => slot.hint,
        }
    }
}
