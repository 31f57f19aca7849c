//! Serves gRPC on a port: clear text or TLS, whichever is configured, over HTTP/2 connections with many streams.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use crate::tls::Certificate;

/// Connections the kernel holds for us while we are busy accepting.
const BACKLOG: i32 = 4_096;
/// A peer that does not finish its TLS handshake, or begin HTTP/2, in this time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes a peer may send ahead on one stream, and on one connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Silence after which a peer is asked whether it is still there, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// A peer that speaks the wrong protocol is logged once in this time.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(10);

/// Answers the calls of one port. Clones share everything.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one call.
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send;
}

/// Limits and choices of a port.
#[derive(Clone)]
pub struct ServeOptions {
    /// TLS with this certificate; clear text without.
    pub certificate: Option<Arc<ArcSwap<Certificate>>>,
    /// Streams a peer may have open on one connection. Default 65,536.
    pub streams_max: u32,
    /// Runtimes that serve connections; each connection stays on one. Empty: the current runtime.
    pub workers: Vec<Handle>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            certificate: None,
            streams_max: 65_536,
            workers: Vec::new(),
        }
    }
}

/// A port being served.
pub struct Serving {
    /// The address bound.
    pub address: SocketAddr,
    stop: CancellationToken,
    abandon: CancellationToken,
    connections: TaskTracker,
}

impl Serving {
    /// Takes no more connections, lets open streams finish for at most `patience`, then drops them. Returns how many
    /// connections were dropped.
    pub async fn shutdown(self, patience: Duration) -> usize {
        self.stop.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(patience, self.connections.wait()).await;
        let left = self.connections.len();
        self.abandon.cancel();
        left
    }
}

/// Binds `address` and serves it in the background.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(
    address: SocketAddr,
    service: impl Service,
    options: ServeOptions,
) -> std::io::Result<Serving> {
    let listener = bind(address)?;
    let address = listener.local_addr()?;
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let connections = TaskTracker::new();
    let port = Arc::new(Port {
        address,
        options,
        stop: stop.clone(),
        abandon: abandon.clone(),
        turn: AtomicUsize::new(0),
        begun: Instant::now(),
        complained: AtomicU64::new(0),
    });
    tokio::spawn(port.accept(listener, service, connections.clone()));
    Ok(Serving {
        address,
        stop,
        abandon,
        connections,
    })
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // One socket for both families, as the reference binds.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

struct Port {
    address: SocketAddr,
    options: ServeOptions,
    stop: CancellationToken,
    abandon: CancellationToken,
    turn: AtomicUsize,
    begun: Instant,
    /// When the last wrong peer was logged, in milliseconds since `begun`; 0 for never.
    complained: AtomicU64,
}

/// What a peer speaks, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Tls,
    Http2,
    Other,
}

impl Spoken {
    /// A TLS record of a handshake begins with 22 and 3; HTTP/2 begins with its preface (RFC 9113 §3.4).
    fn of(first: &[u8]) -> Self {
        match first {
            [0x16, 0x03, ..] => Self::Tls,
            [b'P', b'R', b'I', ..] => Self::Http2,
            _ => Self::Other,
        }
    }
}

impl Port {
    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        service: impl Service,
        connections: TaskTracker,
    ) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept a connection; if file handles ran out, raise the limit (ulimit -n)");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (port, service) = (self.clone(), service.clone());
            let work = async move {
                let abandon = port.abandon.clone();
                abandon
                    .run_until_cancelled(port.connection(stream, peer, service))
                    .await;
            };
            match self.worker() {
                Some(worker) => drop(connections.spawn_on(work, worker)),
                None => drop(connections.spawn(work)),
            }
        }
    }

    fn worker(&self) -> Option<&Handle> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.options.workers.len();
        self.options.workers.get(turn.checked_rem(count)?)
    }

    async fn connection(
        &self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        service: impl Service,
    ) {
        // Answers are small and must not wait for each other.
        let stream = match stream
            .set_nodelay(true)
            .and_then(|()| TcpStream::from_std(stream))
        {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection was lost at its beginning");
                return;
            }
        };
        let Ok(Some(spoken)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, first(&stream)).await else {
            return;
        };
        match (&self.options.certificate, spoken) {
            (Some(certificate), Spoken::Tls) => {
                let acceptor = TlsAcceptor::from(certificate.load().config());
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.http2(stream, service).await,
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, %error, "TLS handshake failed");
                    }
                    Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
                }
            }
            (None, Spoken::Http2) => self.http2(stream, service).await,
            (configured, spoken) => self.complain(peer, configured.is_some(), spoken),
        }
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        service: impl Service,
    ) {
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { service.call(request).await }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(self.options.streams_max)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    /// Says what a peer did wrong, not too often: proxies try again and again.
    fn complain(&self, peer: SocketAddr, tls: bool, spoken: Spoken) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.complained.load(Ordering::Relaxed);
        let pause = u64::try_from(COMPLAINT_PERIOD.as_millis()).unwrap_or(u64::MAX);
        if last != 0 && now.saturating_sub(last) < pause {
            return;
        }
        self.complained.store(now.max(1), Ordering::Relaxed);
        let advice = match (tls, spoken) {
            (true, Spoken::Http2) => {
                "the peer speaks clear-text HTTP/2 and this port TLS; set up TLS in the proxy, or start with --secure-serving=false"
            }
            (false, Spoken::Tls) => {
                "the peer speaks TLS and this port clear-text HTTP/2; take TLS out of the proxy's cluster, or start with --secure-serving"
            }
            _ => {
                "the peer speaks neither gRPC over HTTP/2 nor TLS; is it a proxy or a gRPC client?"
            }
        };
        tracing::warn!(%peer, port = self.address.port(), "connection refused: {advice}");
    }
}

/// Looks at the first bytes without taking them. `None` when the peer leaves without a word.
async fn first(stream: &TcpStream) -> Option<Spoken> {
    let mut bytes = [0; 3];
    loop {
        let seen = stream.peek(&mut bytes).await.ok()?;
        if seen == 0 {
            return None;
        }
        if seen == bytes.len() {
            return Some(Spoken::of(&bytes));
        }
        // Rare: fewer than three bytes came.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_apart_by_their_first_bytes() {
        for (bytes, want) in [
            (&[0x16, 0x03, 0x01][..], Spoken::Tls),
            (b"PRI", Spoken::Http2),
            (b"GET", Spoken::Other),
            (b"", Spoken::Other),
        ] {
            assert_eq!(Spoken::of(bytes), want);
        }
    }
}
