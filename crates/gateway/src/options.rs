//! How the data plane behaves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::tls::UpstreamTrust;

/// How the data plane behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on. Default 0.0.0.0.
    pub address: IpAddr,
    /// Ports to bind in place of those that listeners declare, e.g. 80 → 8080 without privileges.
    pub port_map: BTreeMap<u16, u16>,
    /// Longest silence of a client that sends a body. Default 30 s.
    pub body_timeout: Duration,
    /// Longest time to connect to a model server. Default 3 s.
    pub connect_timeout: Duration,
    /// Streams a client may open on one HTTP/2 connection. Default 1,024.
    pub http2_streams_max: u32,
    /// Mirrored requests under way at once; one more is not sent. Default 1,024.
    pub mirrors_max: usize,
    /// Threads that serve connections. Default: one per core.
    pub workers: usize,
    /// Whom to trust behind `https` endpoints.
    pub trust: UpstreamTrust,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port_map: BTreeMap::new(),
            body_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            http2_streams_max: 1024,
            mirrors_max: 1024,
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            trust: UpstreamTrust::System,
        }
    }
}
