//! The HTTP/1.1 side of the generator: one connection per request in flight, reused when idle.
//!
//! Built on hyper's connection API and not on a pooled client, because a generator wants to know
//! whether a failure was a refused connection or a broken one, and to hold thousands of streams
//! with one small task each.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::LabError;
use crate::outcome::{Cause, Failure};

/// Idle connections older than this are closed instead of reused: several Python servers close
/// theirs after 5 s, and a request that meets the closing fails for no fault of the gateway.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Time for a TCP connection and a TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server to send load to: `http://` or `https://`, host, port and base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: String,
    https: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
    base: String,
}

impl Target {
    /// Reads an endpoint URL. A trailing `/v1` is dropped, because request paths bring their own.
    ///
    /// # Errors
    /// [`LabError::Endpoint`] for anything but `http[s]://host[:port][/path]`.
    pub fn parse(url: &str) -> Result<Self, LabError> {
        let wrong = |what: &str| LabError::Endpoint {
            url: url.to_owned(),
            what: what.to_owned(),
        };
        let shape = "expected http://host:port or https://host:port";
        let uri: Uri = url.parse().map_err(|_| wrong(shape))?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong(shape)),
        };
        let authority = uri.authority().ok_or_else(|| wrong(shape))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                "user names in URLs are not supported; send a header instead",
            ));
        }
        if uri.query().is_some() {
            return Err(wrong("a query is not supported"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() || authority.port_u16().is_none() && has_port(authority.as_str()) {
            return Err(wrong(shape));
        }
        let base = uri.path().trim_end_matches('/');
        Ok(Self {
            url: url.to_owned(),
            https,
            host,
            port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong(shape))?,
            base: base.strip_suffix("/v1").unwrap_or(base).to_owned(),
        })
    }

    /// The URL as it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A POST request to `path` below the base path.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &http::HeaderMap,
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        // The base came out of a parsed URI and the paths are our own constants.
        *request.uri_mut() = format!("{}{path}", self.base).parse().unwrap_or_default();
        request.headers_mut().clone_from(headers);
        request
            .headers_mut()
            .insert(header::HOST, self.authority.clone());
        request.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        request
    }
}

/// Whether something stands behind the host's colon, be it a number or not.
fn has_port(authority: &str) -> bool {
    authority
        .rsplit(']')
        .next()
        .is_some_and(|rest| rest.contains(':'))
}

type Sender = SendRequest<Full<Bytes>>;

/// Connections to one target.
pub(crate) struct Client {
    target: Target,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<(Sender, Instant)>>,
}

impl Client {
    /// Resolves the target's name once; a name that moves during a run is not followed.
    pub(crate) async fn new(target: Target) -> Result<Self, LabError> {
        let wrong = |what: String| LabError::Endpoint {
            url: target.url.clone(),
            what,
        };
        let found = tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| wrong(format!("cannot resolve the host: {error}")))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(wrong("the host has no address".to_owned()));
        }
        let tls = target
            .https
            .then(crate::tls::connector)
            .transpose()
            .map_err(wrong)?;
        Ok(Self {
            target,
            addresses,
            tls,
            idle: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request, on an idle connection if there is one. A request that an idle connection
    /// refused unsent is sent once more on a new one; nothing is ever sent twice.
    ///
    /// The sender must come back through [`Client::give_back`] after the body's end, else the
    /// connection closes.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Sender), Failure> {
        while let Some(mut sender) = self.take_idle() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        return Err(Failure::new(Cause::NoResponse, Chain(&error.into_error())));
                    }
                },
            }
        }
        let mut sender = self.connect().await?;
        match sender.send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(error) => Err(Failure::new(Cause::NoResponse, Chain(&error))),
        }
    }

    /// Keeps a connection whose response was read to its end for the next request.
    pub(crate) fn give_back(&self, sender: Sender) {
        if !sender.is_closed() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((sender, Instant::now()));
        }
    }

    /// The connection used last, so that surplus ones age and close.
    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, since) = idle.pop()?;
        if since.elapsed() > IDLE_MAX {
            // Everything below it is older still.
            idle.clear();
            return None;
        }
        Some(sender)
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.dial()).await {
            Ok(result) => result.map_err(|detail| Failure::new(Cause::Connect, detail)),
            Err(_) => Err(Failure::new(Cause::Connect, "no connection within 10 s")),
        }
    }

    async fn dial(&self) -> Result<Sender, String> {
        let stream = TcpStream::connect(self.addresses.as_slice())
            .await
            .map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        match &self.tls {
            None => handshake(stream).await,
            Some(tls) => {
                let name = crate::tls::server_name(&self.target.host)?;
                let stream = tls
                    .connect(name, stream)
                    .await
                    .map_err(|e| format!("TLS: {e}"))?;
                handshake(stream).await
            }
        }
    }
}

async fn handshake<S>(stream: S) -> Result<Sender, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| Chain(&e).to_string())?;
    // Ends with the connection, which ends when the sender is dropped and the body is read.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// An error with its causes: hyper's own message alone ("connection error") says too little.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'a));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let cases = [
            ("http://127.0.0.1:8000", "127.0.0.1", 8000, "/v1/x"),
            ("http://h/", "h", 80, "/v1/x"),
            ("https://h/base/v1", "h", 443, "/base/v1/x"),
            ("http://[::1]:81/v1/", "::1", 81, "/v1/x"),
        ];
        for (url, host, port, path) in cases {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
            let request = target.post("/v1/x", &http::HeaderMap::new(), Bytes::new());
            assert_eq!(request.uri(), path, "{url}");
        }
        assert_eq!(
            Target::parse("http://[::1]:81")
                .unwrap()
                .post("/", &http::HeaderMap::new(), Bytes::new())
                .headers()["host"],
            "[::1]:81"
        );
    }

    #[test]
    fn unusable_urls_are_refused() {
        for url in [
            "",
            "10.0.0.1:80",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h/?q",
            "http://h:99999",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
