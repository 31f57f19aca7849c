//! One HTTP/2 connection to the picker, and gRPC streams on it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingResponse;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::options::EppOptions;

const PATH: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// Bytes the picker may send ahead on a stream and on the connection.
const WINDOW: u32 = 4 << 20;

/// A connection. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    send: SendRequest<Outgoing>,
    authority: Arc<str>,
}

/// The messages of a stream as they are sent, each a frame of its own, as Envoy sends them.
pub(super) struct Outgoing(mpsc::UnboundedReceiver<Bytes>);

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.get_mut().0.poll_recv(context);
        next.map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A stream under way.
pub(super) struct Stream {
    sender: mpsc::UnboundedSender<Bytes>,
    body: Incoming,
    buffer: BytesMut,
}

impl Link {
    pub(super) async fn open(options: &EppOptions) -> Result<Self, String> {
        let target = &options.target;
        let failed = |error: &dyn std::fmt::Display| format!("cannot connect to {target}: {error}");
        let stream = TcpStream::connect(target)
            .await
            .map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let send = if options.tls {
            let connector = TlsConnector::from(Arc::new(crate::tls::trusting_anyone()?));
            let name = crate::tls::server_name("picker")?;
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| failed(&error))?;
            Self::handshake(TokioIo::new(stream)).await
        } else {
            Self::handshake(TokioIo::new(stream)).await
        };
        Ok(Self {
            send: send.map_err(|error| failed(&error))?,
            authority: target.as_str().into(),
        })
    }

    async fn handshake<I>(io: I) -> hyper::Result<SendRequest<Outgoing>>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (send, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(16 * WINDOW)
            .max_concurrent_reset_streams(1_024)
            .handshake(io)
            .await?;
        tokio::spawn(connection);
        Ok(send)
    }

    /// Begins a stream whose first messages are these.
    pub(super) async fn begin(&mut self, first: Vec<Bytes>) -> Result<Stream, String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for message in first {
            // The receiver is right here.
            let _ = sender.send(message);
        }
        let request = Request::post(format!("http://{}{PATH}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Outgoing(receiver))
            .map_err(|error| error.to_string())?;
        self.send.ready().await.map_err(|error| error.to_string())?;
        let response = self
            .send
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.headers().get("grpc-status");
        if let Some(status) = status.filter(|status| *status != "0") {
            return Err(format!("gRPC status {}", status.to_str().unwrap_or("?")));
        }
        Ok(Stream {
            sender,
            body: response.into_body(),
            buffer: BytesMut::new(),
        })
    }
}

impl Stream {
    pub(super) fn send(&self, message: Bytes) {
        // A picker that has closed the stream is seen when its answer is read.
        let _ = self.sender.send(message);
    }

    /// The next answer; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<ProcessingResponse>, String> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let status = trailers.get("grpc-status");
                        if let Some(status) = status.filter(|status| *status != "0") {
                            return Err(format!("gRPC status {}", status.to_str().unwrap_or("?")));
                        }
                    }
                },
            }
        }
    }

    fn take(&mut self) -> Result<Option<ProcessingResponse>, String> {
        const HEAD: usize = 5;
        let Some(head) = self.buffer.get(..HEAD) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if self.buffer.len() < HEAD + length {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(HEAD + length);
        message.advance(HEAD);
        ProcessingResponse::decode(message)
            .map(Some)
            .map_err(|error| format!("an answer that cannot be read: {error}"))
    }
}
