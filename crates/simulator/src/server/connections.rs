//! Accepting connections, and ending them: gracefully, or as a crash would.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{Shared, routes};

/// How long connections may take to finish after shutdown was asked for.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Most connections at once; further ones wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 65_536;
/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 16_384;
/// Pause after a failed accept, so that a lack of file handles does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts until shutdown or crash.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let crash = shared.crash.clone();
    loop {
        tokio::select! {
            biased;
            () = crash.cancelled() => return Err(crashed()),
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let serving = connection(Arc::clone(&shared), stream, shutdown.clone());
                    connections.spawn(serving);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = crash.cancelled() => return Err(crashed()),
        _ = tokio::time::timeout(DRAIN, drained) => {}
    }
    // Dropping the set ends what is left.
    Ok(())
}

fn crashed() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the configured crash has struck",
    )
}

/// Serves one connection, HTTP/1.1 or HTTP/2 by its first bytes.
async fn connection(shared: Arc<Shared>, stream: TcpStream, shutdown: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(routes::answer(shared, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        // Clients that go away are everyday life here.
        tracing::debug!(%error, "connection ended with an error");
    }
}
