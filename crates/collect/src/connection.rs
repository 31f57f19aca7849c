//! One keep-alive HTTP/1.1 connection to one server, without a task of its own.
//!
//! The connection is driven only while a request is under way. Between requests nobody looks at
//! it, so a server that closed it is noticed at the next request, which is then sent on a new one.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use signals::EndpointIdentity;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ScrapeFailure;

/// A failure and what the system said.
pub(crate) type Failed = (ScrapeFailure, String);

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

struct Open {
    sender: SendRequest<Empty<Bytes>>,
    /// Gone once the connection has ended: dropping it is what tells the sender.
    driver: Option<Driver>,
}

/// A way to ask one server again and again.
pub(crate) struct Connection {
    address: SocketAddr,
    host: Arc<str>,
    authority: HeaderValue,
    tls: Option<Arc<ClientConfig>>,
    https: bool,
    open: Option<Open>,
}

impl Connection {
    /// Not connected yet. `port` replaces the serving port.
    pub(crate) fn new(
        identity: &EndpointIdentity,
        port: Option<u16>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        let mut address = identity.address;
        address.set_port(port.unwrap_or(address.port()));
        let host = identity.host.clone();
        let authority = match address.port() {
            port if host.contains(':') => format!("[{host}]:{port}"),
            port => format!("{host}:{port}"),
        };
        // A host that is no header value could not have been resolved either.
        let authority = authority
            .parse()
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        Self {
            address,
            host,
            authority,
            tls,
            https: identity.https,
            open: None,
        }
    }

    /// GETs a path and puts the body into `body`, which must be empty. Returns the status.
    ///
    /// Dropping the future closes the connection.
    pub(crate) async fn get(
        &mut self,
        uri: &Uri,
        body: &mut Vec<u8>,
        body_max: usize,
    ) -> Result<StatusCode, Failed> {
        if let Some(mut open) = self.open.take() {
            match exchange(&mut open, self.request(uri), body, body_max).await {
                Ok(status) => return Ok(self.keep(open, status)),
                // The server closed an idle connection. GET may be repeated (RFC 9110, 9.2.2).
                Err(Unfinished::NoAnswer(_)) => {}
                Err(Unfinished::InAnswer(failed)) => return Err(failed),
            }
        }
        let mut open = self.connect().await?;
        match exchange(&mut open, self.request(uri), body, body_max).await {
            Ok(status) => Ok(self.keep(open, status)),
            Err(Unfinished::NoAnswer(failed) | Unfinished::InAnswer(failed)) => Err(failed),
        }
    }

    fn keep(&mut self, open: Open, status: StatusCode) -> StatusCode {
        self.open = Some(open);
        status
    }

    fn request(&self, uri: &Uri) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        request
            .headers_mut()
            .insert(header::HOST, self.authority.clone());
        request
    }

    async fn connect(&mut self) -> Result<Open, Failed> {
        let failed = |what: String| (ScrapeFailure::Connect, what);
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|e| failed(e.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|e| failed(e.to_string()))?;
        if !self.https {
            return handshake(stream).await.map_err(|e| failed(e.to_string()));
        }
        let config = self
            .tls
            .clone()
            .ok_or_else(|| failed("TLS is not configured".to_owned()))?;
        let name = ServerName::try_from(self.host.to_string())
            .map_err(|_| failed("the host cannot be a TLS server name".to_owned()))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| failed(format!("TLS: {error}")))?;
        handshake(stream)
            .await
            .map_err(|error| failed(error.to_string()))
    }
}

async fn handshake<S>(stream: S) -> hyper::Result<Open>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    Ok(Open {
        sender,
        driver: Some(Box::pin(driver)),
    })
}

/// How far a failed exchange got.
enum Unfinished {
    NoAnswer(Failed),
    InAnswer(Failed),
}

async fn exchange(
    open: &mut Open,
    request: Request<Empty<Bytes>>,
    body: &mut Vec<u8>,
    body_max: usize,
) -> Result<StatusCode, Unfinished> {
    let Open { sender, driver } = open;
    let conversation = converse(sender, request, body, body_max);
    tokio::pin!(conversation);
    std::future::poll_fn(|context| {
        // The driver first: it moves bytes for the conversation.
        if let Some(present) = driver
            && present.as_mut().poll(context).is_ready()
        {
            *driver = None;
        }
        conversation.as_mut().poll(context)
    })
    .await
}

async fn converse(
    sender: &mut SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    body: &mut Vec<u8>,
    body_max: usize,
) -> Result<StatusCode, Unfinished> {
    let broken = |error: hyper::Error| (ScrapeFailure::Broken, error.to_string());
    let answered = async {
        sender.ready().await?;
        sender.send_request(request).await
    };
    let response = answered
        .await
        .map_err(|error| Unfinished::NoAnswer(broken(error)))?;
    let (head, mut incoming) = response.into_parts();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Unfinished::InAnswer(broken(error)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if body.len() + data.len() > body_max {
            let what = format!("more than {body_max} bytes");
            return Err(Unfinished::InAnswer((ScrapeFailure::TooLarge, what)));
        }
        body.extend_from_slice(&data);
    }
    Ok(head.status)
}
