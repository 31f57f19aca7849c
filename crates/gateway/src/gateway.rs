//! The gateway as a whole: its ports follow the configuration, its shutdown is bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use lifecycle::Core;
use resources::{Listener, Snapshot};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::options::Options;
use crate::port::{Port, accept, bind};
use crate::shared::Shared;
use crate::tls::{TlsError, client_config, server_config};
use crate::upstream::Upstreams;
use crate::workers::Workers;

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// TLS material of a listener cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A port cannot be bound.
    #[error("cannot listen on {address}: {error}; free the port, or choose another one")]
    Bind {
        /// Address that was asked for.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A port the gateway listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Port as listeners declare it.
    pub declared: u16,
    /// Address really bound.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// Why a gateway cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificates to trust cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The threads that serve connections cannot be started.
    #[error(
        "cannot start the gateway's threads: {0}; if file handles ran out, raise the limit (ulimit -n)"
    )]
    Workers(#[from] std::io::Error),
}

/// The embedded data plane.
pub struct Gateway {
    core: Arc<Core>,
    options: Options,
    workers: Arc<Workers>,
    /// Drops connections that outlasted the patience of a shutdown, and ends the threads.
    abandon: CancellationToken,
    ports: Mutex<HashMap<u16, Port>>,
    connections: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// A gateway without ports yet; see [`Gateway::apply`].
    ///
    /// # Errors
    /// [`StartError`] if the trusted certificates cannot be read or threads cannot be started.
    pub fn new(core: Arc<Core>, options: Options) -> Result<Self, StartError> {
        let tls = client_config(&options.trust)?;
        let mirrors = Arc::new(Semaphore::new(options.mirrors_max));
        let abandon = CancellationToken::new();
        let shared = || {
            Arc::new(Shared {
                core: core.clone(),
                options: options.clone(),
                upstreams: Upstreams::new(tls.clone(), options.connect_timeout),
                mirrors: mirrors.clone(),
                abandon: abandon.clone(),
            })
        };
        let shared = (0..options.workers.max(1)).map(|_| shared()).collect();
        let workers = Arc::new(Workers::start(shared, &abandon)?);
        Ok(Self {
            core,
            options,
            workers,
            abandon,
            ports: Mutex::default(),
            connections: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Checks that a snapshot's TLS material can be used, without touching any port.
    ///
    /// # Errors
    /// [`TlsError`] naming the listener.
    pub fn check(snapshot: &Snapshot) -> Result<(), TlsError> {
        for listeners in by_port(snapshot).values() {
            server_config(listeners.iter().copied())?;
        }
        Ok(())
    }

    /// Opens the ports a snapshot declares, renews certificates, and closes ports it no longer declares
    /// (their connections finish). On an error nothing has changed.
    ///
    /// # Errors
    /// [`ApplyError`] naming the address or the listener.
    pub fn apply(&self, snapshot: &Snapshot) -> Result<Vec<Bound>, ApplyError> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = by_port(snapshot);
        let mut configs = HashMap::new();
        let mut opened = Vec::new();
        for (declared, listeners) in &wanted {
            configs.insert(
                *declared,
                server_config(listeners.iter().copied())?.map(Arc::new),
            );
            if !ports.contains_key(declared) {
                let port = self
                    .options
                    .port_map
                    .get(declared)
                    .copied()
                    .unwrap_or(*declared);
                let address = SocketAddr::new(self.options.address, port);
                let listener =
                    bind(address).map_err(|error| ApplyError::Bind { address, error })?;
                let bound = listener
                    .local_addr()
                    .map_err(|error| ApplyError::Bind { address, error })?;
                opened.push((*declared, bound, listener));
            }
        }
        ports.retain(|declared, port| {
            let keep = wanted.contains_key(declared);
            if !keep {
                port.stop.cancel();
            }
            keep
        });
        for (declared, address, listener) in opened {
            let port = Port {
                address,
                tls: Arc::new(ArcSwapOption::empty()),
                stop: self.stop.child_token(),
            };
            let (tls, stop) = (port.tls.clone(), port.stop.clone());
            self.connections.spawn(accept(
                listener,
                declared,
                tls,
                self.workers.clone(),
                stop,
                self.connections.clone(),
            ));
            ports.insert(declared, port);
        }
        for (declared, port) in ports.iter() {
            port.tls.store(configs.remove(declared).flatten());
        }
        Ok(bound(&ports))
    }

    /// Ports in use.
    #[must_use]
    pub fn bound(&self) -> Vec<Bound> {
        bound(&self.ports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connections and listening ports alive.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.connections.len()
    }

    /// Refuses new requests, lets those under way finish for at most `patience`, then drops the rest.
    /// Returns how many connections were still open then.
    pub async fn shutdown(&self, patience: Duration) -> usize {
        self.core.drain();
        self.stop.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(patience, self.connections.wait()).await;
        let left = self.connections.len();
        self.abandon.cancel();
        left
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abandon.cancel();
    }
}

fn by_port(snapshot: &Snapshot) -> BTreeMap<u16, Vec<&Listener>> {
    let mut ports: BTreeMap<u16, Vec<&Listener>> = BTreeMap::new();
    for listener in &snapshot.listeners {
        ports.entry(listener.port).or_default().push(listener);
    }
    ports
}

fn bound(ports: &HashMap<u16, Port>) -> Vec<Bound> {
    let mut bound: Vec<_> = ports
        .iter()
        .map(|(declared, port)| Bound {
            declared: *declared,
            address: port.address,
            tls: port.tls.load().is_some(),
        })
        .collect();
    bound.sort_by_key(|bound| bound.declared);
    bound
}
