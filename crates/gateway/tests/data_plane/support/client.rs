//! A client with one connection, so that tests decide what shares one.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::body::{BoxError, Out, empty, full};
use super::within;

pub enum Sender {
    Http1(http1::SendRequest<Out>),
    Http2(http2::SendRequest<Out>),
}

pub struct Client {
    pub sender: Sender,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), hyper::Error>>,
    /// Certificate the gateway showed.
    pub certificate: Option<CertificateDer<'static>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Got {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

async fn http1_over<I>(io: I) -> Client
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = within(http1::handshake(io)).await.unwrap();
    Client {
        sender: Sender::Http1(sender),
        connection: tokio::spawn(connection),
        certificate: None,
    }
}

async fn http2_over<I>(io: I) -> Client
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = within(http2::handshake(TokioExecutor::new(), io))
        .await
        .unwrap();
    Client {
        sender: Sender::Http2(sender),
        connection: tokio::spawn(connection),
        certificate: None,
    }
}

impl Client {
    pub async fn http1(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        http1_over(TokioIo::new(stream)).await
    }

    pub async fn h2c(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        http2_over(TokioIo::new(stream)).await
    }

    /// Speaks what ALPN settles on.
    pub async fn tls(
        address: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        let stream = within(TcpStream::connect(address)).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = within(tokio_rustls::TlsConnector::from(config).connect(name, stream)).await?;
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().unwrap()[0].clone().into_owned();
        let http2 = session.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let mut client = if http2 {
            http2_over(io).await
        } else {
            http1_over(io).await
        };
        client.certificate = Some(certificate);
        Ok(client)
    }

    pub async fn try_send(
        &mut self,
        request: Request<Out>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                within(sender.ready()).await?;
                within(sender.send_request(request)).await
            }
            Sender::Http2(sender) => {
                within(sender.ready()).await?;
                within(sender.send_request(request)).await
            }
        }
    }

    /// Sends, and waits for the head of the answer.
    pub async fn send(&mut self, request: Request<Out>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    /// Sends, and waits for all of the answer.
    pub async fn ask(&mut self, mut request: Request<Out>) -> Got {
        if matches!(self.sender, Sender::Http2(_)) {
            absolute(&mut request);
        }
        let response = self.send(request).await;
        collect(response).await.unwrap()
    }

    /// Sends to be awaited elsewhere.
    pub fn spawn(mut self, mut request: Request<Out>) -> JoinHandle<Result<Got, BoxError>> {
        if matches!(self.sender, Sender::Http2(_)) {
            absolute(&mut request);
        }
        tokio::spawn(async move {
            let response = self.try_send(request).await?;
            Ok(collect(response).await?)
        })
    }
}

/// HTTP/2 carries the host in the target.
pub fn absolute(request: &mut Request<Out>) {
    if let Some(host) = request.headers_mut().remove("host") {
        let uri = format!("http://{}{}", host.to_str().unwrap(), request.uri());
        *request.uri_mut() = uri.parse().unwrap();
    }
}

/// Awaits the next piece of an answer; `None` at its end.
pub async fn piece(response: &mut Response<Incoming>) -> Option<Result<Bytes, hyper::Error>> {
    let frame = within(response.body_mut().frame()).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

pub async fn collect(response: Response<Incoming>) -> Result<Got, hyper::Error> {
    let (head, body) = response.into_parts();
    let collected = within(body.collect()).await?;
    Ok(Got {
        status: head.status,
        version: head.version,
        headers: head.headers,
        trailers: collected.trailers().cloned(),
        body: collected.to_bytes(),
    })
}

/// A request for `a.example`.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Out) -> Request<Out> {
    let mut builder = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        builder = builder.header("host", "a.example");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body).unwrap()
}

pub fn get(path: &str) -> Request<Out> {
    request("GET", path, &[], empty())
}

pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Out> {
    request(
        "POST",
        path,
        &[("content-type", "application/json")],
        full(body),
    )
}
