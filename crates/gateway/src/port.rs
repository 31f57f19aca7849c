//! One listening port: accepting connections until told to stop, then letting them finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use lifecycle::Door;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::serve::serve;
use crate::shared::Shared;
use crate::workers::Workers;

/// Connections the kernel holds for us while we are busy accepting.
const BACKLOG: i32 = 4096;
/// A client that does not finish its TLS handshake or request head in this time is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound port.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<ArcSwapOption<rustls::ServerConfig>>,
    /// Stops accepting and asks open connections to finish.
    pub(crate) stop: CancellationToken,
}

/// Binds `address` with a long backlog.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections for the routes' port `declared`.
pub(crate) async fn accept(
    listener: TcpListener,
    declared: u16,
    tls: Arc<ArcSwapOption<rustls::ServerConfig>>,
    workers: Arc<Workers>,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(port = declared, %error, "cannot accept a connection; if file handles ran out, raise the limit (ulimit -n)");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some((worker, seat)) = workers.seat() else {
            continue;
        };
        let connection = Connection {
            declared,
            peer,
            shared: worker.shared.clone(),
            stop: stop.clone(),
        };
        let tls = tls.load_full();
        let serve = async move {
            let _seat = seat;
            let abandon = connection.shared.abandon.clone();
            // Registers the socket with this worker's runtime.
            match TcpStream::from_std(stream) {
                Ok(stream) => drop(
                    abandon
                        .run_until_cancelled(connection.run(stream, tls))
                        .await,
                ),
                Err(error) => {
                    tracing::warn!(%error, "a connection was lost on its way to a thread")
                }
            }
        };
        connections.spawn_on(serve, &worker.runtime);
    }
}

struct Connection {
    declared: u16,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) {
        // A stream of small events must not wait for the peer's acknowledgements (RFC 896).
        let _ = stream.set_nodelay(true);
        let Some(config) = tls else {
            let door = Door {
                port: self.declared,
                peer: Some(self.peer.ip()),
                ..Door::default()
            };
            return self.drive(TokioIo::new(stream), door).await;
        };
        let handshake =
            tokio::time::timeout(HEAD_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await;
        match handshake {
            Ok(Ok(stream)) => {
                let sni = stream.get_ref().1.server_name().map(Arc::from);
                let door = Door {
                    port: self.declared,
                    tls: true,
                    sni,
                    peer: Some(self.peer.ip()),
                    proxied: false,
                };
                self.drive(TokioIo::new(stream), door).await;
            }
            Ok(Err(error)) => tracing::debug!(port = self.declared, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(port = self.declared, "TLS handshake took too long"),
        }
    }

    async fn drive<I>(self, io: I, door: Door)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let shared = self.shared;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(shared.options.http2_streams_max);
        let service = service_fn(move |request: http::Request<Incoming>| {
            let (shared, door) = (shared.clone(), door.clone());
            async move { Ok::<_, std::convert::Infallible>(serve(shared, door, request).await) }
        });
        let connection = builder.serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(port = self.declared, %error, "connection ended with an error");
        }
    }
}
