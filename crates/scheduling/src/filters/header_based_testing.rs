//! `header-based-testing-filter`: the endpoints that a request header lists. For conformance tests.

use std::net::{IpAddr, SocketAddr};

use rand::Rng;

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads, parameterless};

/// The header, a list of `ip` or `ip:port`.
const HEADER: &str = "test-epp-endpoint-selection";

pub(super) const KIND: Kind =
    Kind::new::<HeaderBased>("header-based-testing-filter", Roles::FILTER).lenient();

parameterless!(HeaderBased);

impl PluginType for HeaderBased {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::filter(self)
    }
}

fn address(entry: &str) -> Option<(IpAddr, Option<u16>)> {
    let entry = entry.trim();
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some((address.ip(), Some(address.port())));
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().map(|ip| (ip, None))
}

impl Filter for HeaderBased {
    fn reads(&self) -> Reads {
        Reads::HEADERS
    }

    /// One endpoint for each address, in the order of the header; none without the header.
    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let list = field.query.headers.get(HEADER).unwrap_or_default();
        let mut chosen: Vec<u32> = Vec::new();
        for (ip, port) in list.split(',').filter_map(address) {
            let fits = |index: &&u32| {
                let known = field.endpoints[**index as usize].address();
                known.ip() == ip && port.is_none_or(|port| port == known.port())
            };
            if let Some(&index) = kept.iter().find(fits)
                && !chosen.contains(&index)
            {
                chosen.push(index);
            }
        }
        *kept = chosen;
    }
}
