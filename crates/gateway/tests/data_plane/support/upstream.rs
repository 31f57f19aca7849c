//! Model servers that do as they are told.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::body::{Feed, Out, feed, full};
use super::raw::Wire;
use super::within;

/// A request as it arrived.
#[derive(Debug)]
pub struct Seen {
    pub head: http::request::Parts,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.head
            .headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A model server on a free port of 127.0.0.1.
pub struct Upstream {
    pub port: u16,
    seen: mpsc::UnboundedReceiver<Seen>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

impl Upstream {
    /// Reads each request whole, records it, and answers it.
    pub async fn answering(
        answer: impl Fn(&Seen) -> Response<Out> + Send + Sync + 'static,
    ) -> Self {
        Self::start(None, answer).await
    }

    /// The same behind TLS.
    pub async fn tls(
        config: Arc<ServerConfig>,
        answer: impl Fn(&Seen) -> Response<Out> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(config), answer).await
    }

    /// Answers 200 with its name.
    pub async fn named(name: &'static str) -> Self {
        Self::answering(move |_| Response::new(full(name))).await
    }

    async fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Seen) -> Response<Out> + Send + Sync + 'static,
    ) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        Self::serve(tls, seen, move |request: Request<Incoming>| {
            let (sender, answer) = (sender.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                // A client that breaks off is no business of this server.
                let Ok(collected) = body.collect().await else {
                    return Response::new(full(""));
                };
                let seen = Seen {
                    head,
                    trailers: collected.trailers().cloned(),
                    body: collected.to_bytes(),
                };
                let response = answer(&seen);
                let _ = sender.send(seen);
                response
            }
        })
        .await
    }

    /// Leaves everything to `script`, the reading of the request body too.
    pub async fn scripted<F, Fut>(script: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Out>> + Send + 'static,
    {
        let (_, seen) = mpsc::unbounded_channel();
        Self::serve(None, seen, script).await
    }

    /// Hands each answer's body to the test, after the request was read whole.
    pub async fn held(content_type: &'static str) -> (Self, mpsc::UnboundedReceiver<Feed>) {
        let (sender, feeds) = mpsc::unbounded_channel();
        let upstream = Self::answering(move |_| {
            let (hand, body) = feed();
            let _ = sender.send(hand);
            Response::builder()
                .header("content-type", content_type)
                .body(body)
                .unwrap()
        })
        .await;
        (upstream, feeds)
    }

    async fn serve<F, Fut>(
        tls: Option<Arc<ServerConfig>>,
        seen: mpsc::UnboundedReceiver<Seen>,
        script: F,
    ) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Out>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(Counts::default());
        let (script, shared) = (Arc::new(script), counts.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.opened.fetch_add(1, Ordering::SeqCst);
                let (script, shared, tls) = (script.clone(), shared.clone(), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = script(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = match tls {
                        None => {
                            builder
                                .serve_connection(TokioIo::new(stream), service)
                                .await
                        }
                        Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                            Ok(stream) => {
                                builder
                                    .serve_connection(TokioIo::new(stream), service)
                                    .await
                            }
                            Err(_) => Ok(()),
                        },
                    };
                    shared.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, seen, counts }
    }

    /// Hands each connection to `script`, which gets bytes.
    pub async fn raw<F, Fut>(script: F) -> Self
    where
        F: Fn(Wire) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        let (_, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.opened.fetch_add(1, Ordering::SeqCst);
                let (work, shared) = (script(Wire::over(stream)), shared.clone());
                tokio::spawn(async move {
                    work.await;
                    shared.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, seen, counts }
    }

    /// The next request.
    pub async fn seen(&mut self) -> Seen {
        within(self.seen.recv()).await.unwrap()
    }

    /// Requests that were not taken yet.
    pub fn waiting(&self) -> usize {
        self.seen.len()
    }

    /// Connections ever opened.
    pub fn opened(&self) -> usize {
        self.counts.opened.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.opened() - self.counts.closed.load(Ordering::SeqCst)
    }
}
