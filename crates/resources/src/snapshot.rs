use crate::{BaseModels, Hostname, ObjectName, Pool, Route};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One whole, validated configuration. Never changed after it is built; a new one replaces it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Number of this configuration, set by whoever publishes it; later ones are greater.
    pub generation: u64,
    /// All usable listeners of all Gateways, ordered by gateway name, then as listed in it.
    pub listeners: Vec<Listener>,
    /// All InferencePools by name, whether or not a route uses them.
    pub pools: BTreeMap<ObjectName, Arc<Pool>>,
    /// Which base model an adapter belongs to.
    pub base_models: BaseModels,
}

/// Protocols a listener can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerProtocol {
    /// HTTP/1.1 and HTTP/2 with prior knowledge, in clear.
    Http,
    /// The same inside TLS, which the gateway terminates.
    Https,
}

/// One listener of a Gateway with the routes attached to it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The Gateway that declares it.
    pub gateway: ObjectName,
    /// Its name, unique in the Gateway (`sectionName` of a route's parentRef).
    pub name: Arc<str>,
    /// TCP port. Several listeners may share one when their hostnames differ.
    pub port: u16,
    /// What it speaks.
    pub protocol: ListenerProtocol,
    /// Hostname it serves; `None` serves every one.
    pub hostname: Option<Hostname>,
    /// Certificates to choose from by SNI; empty for [`ListenerProtocol::Http`].
    pub tls: Vec<Arc<CertifiedPem>>,
    /// Attached routes, ordered by namespace and name.
    pub routes: Vec<AttachedRoute>,
}

/// A certificate chain and its key, PEM as found in the Secret. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct CertifiedPem {
    /// The chain, leaf first.
    pub cert_chain_pem: Vec<u8>,
    /// The private key.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for CertifiedPem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CertifiedPem")
            .field("cert_chain_bytes", &self.cert_chain_pem.len())
            .finish_non_exhaustive()
    }
}

/// A route as one listener sees it.
#[derive(Clone, Debug)]
pub struct AttachedRoute {
    /// The route, shared by all listeners that carry it.
    pub route: Arc<Route>,
    /// Intersection of the route's hostnames with the listener's; empty means every hostname.
    pub hostnames: Vec<Hostname>,
}
