//! Bodies a test writes piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Out = UnsyncBoxBody<Bytes, BoxError>;

pub fn full(bytes: impl Into<Bytes>) -> Out {
    Full::new(bytes.into()).map_err(Into::into).boxed_unsync()
}

pub fn empty() -> Out {
    Empty::new().map_err(Into::into).boxed_unsync()
}

/// A body and the hand that feeds it.
pub fn feed() -> (Feed, Out) {
    let (sender, receiver) = mpsc::channel(1);
    (Feed(sender), Fed(receiver).boxed_unsync())
}

/// Dropped, the body ends.
pub struct Feed(mpsc::Sender<Result<Frame<Bytes>, BoxError>>);

impl Feed {
    /// Hands over a piece; false when nobody takes it any more.
    pub async fn data(&self, piece: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(piece.into()))).await.is_ok()
    }

    pub async fn trailers(&self, pairs: &[(&'static str, &'static str)]) {
        let mut trailers = HeaderMap::new();
        for (name, value) in pairs {
            trailers.insert(*name, value.parse().unwrap());
        }
        self.0.send(Ok(Frame::trailers(trailers))).await.unwrap();
    }

    /// Breaks the body off.
    pub async fn fail(self) {
        let _ = self.0.send(Err("broken off".into())).await;
    }

    /// Until the other side has dropped the body.
    pub async fn dropped(&self) {
        super::within(self.0.closed()).await;
    }
}

struct Fed(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(context)
    }
}
