//! What configuration says about a model server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A configured model server: an address, or a name that may stand for several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `namespace/pod-rank-index`, or the name given on the command line.
    pub name: Arc<str>,
    /// An IP address without brackets, or a DNS name.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Dial with TLS.
    pub https: bool,
    /// Labels of the pod.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Index of the target port within the pod.
    pub rank: u16,
}

impl Target {
    /// A plain-text target with no labels, named `host:port`.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            name: format!("{host}:{port}").into(),
            host: host.into(),
            port,
            https: false,
            labels: Arc::default(),
            rank: 0,
        }
    }

    /// The address, if the host is one.
    pub(crate) fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}
