//! The subset of endpoints that a proxy confines a request to (Endpoint Picker Protocol, proposal 004).

use std::net::{IpAddr, SocketAddr};

use signals::Endpoint;
use smallvec::SmallVec;

/// Addresses a request may go to. An empty subset allows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subset(SmallVec<[(IpAddr, Option<u16>); 4]>);

impl Subset {
    /// Reads entries of the form `ip`, `ip:port` or `[ip]:port`. Entries that are no address allow nothing.
    pub fn parse<'e>(entries: impl IntoIterator<Item = &'e str>) -> Self {
        Self(entries.into_iter().filter_map(parse).collect())
    }

    /// Whether the endpoint is one of them. An entry without a port allows every port of its address.
    #[must_use]
    pub fn allows(&self, endpoint: &Endpoint) -> bool {
        let address = endpoint.address();
        self.0
            .iter()
            .any(|(ip, port)| *ip == address.ip() && port.is_none_or(|port| port == address.port()))
    }
}

fn parse(entry: &str) -> Option<(IpAddr, Option<u16>)> {
    let entry = entry.trim();
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some((address.ip(), Some(address.port())));
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().map(|ip| (ip, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_and_without_ports_in_both_families() {
        let v4: IpAddr = [10, 0, 0, 1].into();
        let v6: IpAddr = "fd00::1".parse().unwrap();
        for (entry, want) in [
            ("10.0.0.1:8000", Some((v4, Some(8000)))),
            (" 10.0.0.1 ", Some((v4, None))),
            ("[fd00::1]:8000", Some((v6, Some(8000)))),
            ("[fd00::1]", Some((v6, None))),
            ("fd00::1", Some((v6, None))),
            ("pod-1:8000", None),
            ("10.0.0.1:99999", None),
            ("", None),
        ] {
            assert_eq!(parse(entry), want, "{entry}");
        }
    }
}
