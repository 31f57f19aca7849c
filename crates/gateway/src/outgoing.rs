//! Request bodies on their way to a model server.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

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
    Streamed(StreamSlot, Option<Incoming>),
}

/// A client body that can be taken back as long as no byte of it was asked for.
#[derive(Clone)]
pub(crate) struct StreamSlot {
    body: Arc<Mutex<Option<Incoming>>>,
    hint: SizeHint,
}

impl StreamSlot {
    pub(crate) fn new(body: Incoming) -> Self {
        let hint = body.size_hint();
        Self {
            body: Arc::new(Mutex::new(Some(body))),
            hint,
        }
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
            Self::Streamed(slot, taken) => {
                if taken.is_none() {
                    *taken = slot.take();
                }
                match taken {
                    Some(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
                    None => Poll::Ready(Some(Err("the request body was already sent once".into()))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole {
                chunks, trailers, ..
            } => chunks.is_empty() && trailers.is_none(),
            Self::Streamed(_, Some(body)) => body.is_end_stream(),
            Self::Streamed(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // With trailers the length stays open: HTTP/1.1 sends trailers only after a chunked body.
            Self::Whole {
                trailers: Some(_), ..
            } => SizeHint::default(),
            Self::Whole { left, .. } => SizeHint::with_exact(*left),
            Self::Streamed(slot, _) => slot.hint.clone(),
        }
    }
}
