//! One model server, shared by everyone who routes to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Health, Ledger, ServingState};

/// What does not change while an endpoint lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointIdentity {
    /// `namespace/pod-rank-index`, or the name given on the command line.
    pub name: Arc<str>,
    /// Where to dial.
    pub address: SocketAddr,
    /// The host as configured, for the `Host` header and the TLS server name.
    pub host: Arc<str>,
    /// Dial with TLS.
    pub https: bool,
    /// Labels of the pod.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Index of the target port within the pod (data-parallel rank).
    pub rank: u16,
}

/// A model server with its hot state. Shared as `Arc<Endpoint>`; all state is atomic.
#[derive(Debug)]
pub struct Endpoint {
    // The parts every decision reads come first, so that they share few cache lines.
    id: u32,
    health: Health,
    ledger: Ledger,
    signals: ServingState,
    identity: EndpointIdentity,
}

impl Endpoint {
    /// A new endpoint about which nothing is known yet.
    ///
    /// `id` must be unique in the process and must never be used again, also not after the
    /// endpoint is gone: late reservations and the prefix index refer to endpoints by it.
    #[must_use]
    pub fn new(id: u32, identity: EndpointIdentity) -> Self {
        Self {
            id,
            health: Health::default(),
            ledger: Ledger::default(),
            signals: ServingState::default(),
            identity,
        }
    }

    /// Unique in the process, never reused.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The name of [`EndpointIdentity::name`].
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.identity.name
    }

    /// Where to dial.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.identity.address
    }

    /// Everything that does not change.
    #[must_use]
    pub fn identity(&self) -> &EndpointIdentity {
        &self.identity
    }

    /// What the server says about itself.
    #[must_use]
    pub fn signals(&self) -> &ServingState {
        &self.signals
    }

    /// What our own requests in flight make of it.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether it may be routed to.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }
}

/// An immutable list of endpoints, replaced as a whole when membership changes.
#[derive(Clone, Debug, Default)]
pub struct EndpointSet {
    /// Grows by one with every change.
    pub generation: u64,
    /// The members, in a stable order.
    pub endpoints: Vec<Arc<Endpoint>>,
}
