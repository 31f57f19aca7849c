//! Connection pools, one per endpoint and protocol.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use resources::AppProtocol;
use rustls_pki_types::ServerName;
use signals::Endpoint;

use crate::connect::Dial;
use crate::outgoing::Outgoing;

/// An idle connection is closed by us before uvicorn, which most engines run on, closes it after five
/// seconds: a request sent into a closing connection would fail for nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Idle connections kept per endpoint and protocol.
const IDLE_MAX: usize = 1024;
/// Pools of endpoints that are gone are looked for once this many pools exist, and at each doubling.
const SWEEP_FROM: usize = 64;

type HttpClient = Client<HttpsConnector<Dial>, Outgoing>;

/// All pools.
pub(crate) struct Upstreams {
    tls: Arc<rustls::ClientConfig>,
    connect_timeout: Duration,
    pools: RwLock<Pools>,
}

#[derive(Default)]
struct Pools {
    by_endpoint: HashMap<(u32, bool), Pool>,
    sweep_at: usize,
}

struct Pool {
    endpoint: Weak<Endpoint>,
    client: HttpClient,
}

impl Upstreams {
    pub(crate) fn new(tls: rustls::ClientConfig, connect_timeout: Duration) -> Self {
        Self {
            tls: Arc::new(tls),
            connect_timeout,
            pools: RwLock::default(),
        }
    }

    /// Sends a request to `endpoint`. The request's URI holds path and query only.
    pub(crate) async fn send(
        &self,
        endpoint: &Arc<Endpoint>,
        protocol: AppProtocol,
        mut request: http::Request<Outgoing>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let identity = endpoint.identity();
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        let h2c = protocol == AppProtocol::H2c && !identity.https;
        uri.scheme = Some(if identity.https {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        });
        // HTTP/2 carries the client's host in `:authority` and nowhere else (RFC 9113 §8.3.1), and only the
        // handshake tells whether an https endpoint speaks it. The address is the pool's, whatever the URI says.
        uri.authority = Some(match asked_host(request.headers()) {
            Some(host) if h2c || identity.https => host,
            _ => authority(endpoint)?,
        });
        if h2c || identity.https {
            // For HTTP/1.1 the client library makes it again from the authority.
            request.headers_mut().remove(http::header::HOST);
        }
        *request.uri_mut() =
            http::Uri::from_parts(uri).map_err(|error| Failure::Unsendable(error.into()))?;
        self.client(endpoint, h2c)
            .request(request)
            .await
            .map_err(Failure::Client)
    }

    fn client(&self, endpoint: &Arc<Endpoint>, h2c: bool) -> HttpClient {
        let key = (endpoint.id(), h2c);
        if let Some(pool) = self
            .pools
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_endpoint
            .get(&key)
        {
            return pool.client.clone();
        }
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        pools.sweep();
        let made = || Pool {
            endpoint: Arc::downgrade(endpoint),
            client: self.make(endpoint, h2c),
        };
        pools
            .by_endpoint
            .entry(key)
            .or_insert_with(made)
            .client
            .clone()
    }

    fn make(&self, endpoint: &Endpoint, h2c: bool) -> HttpClient {
        let dial = Dial {
            address: endpoint.address(),
            timeout: self.connect_timeout,
        };
        let host = endpoint.identity().host.to_string();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.as_ref().clone())
            .https_or_http()
            // The certificate must be the endpoint's, not one for the host the client asked for.
            .with_server_name_resolver(move |_: &_| ServerName::try_from(host.clone()))
            .enable_all_versions()
            .wrap_connector(dial);
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .http2_only(h2c)
            .http1_preserve_header_case(false)
            .build(connector)
    }
}

impl Pools {
    fn sweep(&mut self) {
        if self.by_endpoint.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.by_endpoint
                .retain(|_, pool| pool.endpoint.strong_count() > 0);
            self.sweep_at = self.by_endpoint.len() * 2;
        }
    }
}

/// The client's host, if it can stand in a URI; user information never can.
fn asked_host(headers: &http::HeaderMap) -> Option<Authority> {
    let host: Authority = headers
        .get(http::header::HOST)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    (!host.as_str().contains('@')).then_some(host)
}

fn authority(endpoint: &Endpoint) -> Result<Authority, Failure> {
    let identity = endpoint.identity();
    let port = endpoint.address().port();
    let text = if identity.host.contains(':') {
        format!("[{}]:{port}", identity.host)
    } else {
        format!("{}:{port}", identity.host)
    };
    text.parse()
        .map_err(|error: http::uri::InvalidUri| Failure::Unsendable(error.into()))
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request cannot be put on the wire.
    #[error("cannot send the request: {0}")]
    Unsendable(http::Error),
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Client(#[from] Error),
}

impl Failure {
    /// Whether no byte of the request left the gateway.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_connect())
    }
}
