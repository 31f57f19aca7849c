use resources::Hostname;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest DNS name. Longer hosts match only what serves every host.
const MAX_HOST_BYTES: usize = 253;

/// Values by hostname: exact ones, wildcards, and one for every host.
#[derive(Debug)]
pub(crate) struct HostIndex<V> {
    exact: HashMap<Arc<str>, V>,
    /// By suffix with its leading dot.
    wildcards: HashMap<Arc<str>, V>,
    any: Option<V>,
}

impl<V> Default for HostIndex<V> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            any: None,
        }
    }
}

impl<V: Default> HostIndex<V> {
    /// The value of a hostname, made if there is none; `None` stands for every host.
    pub(crate) fn entry(&mut self, hostname: Option<&Hostname>) -> &mut V {
        match hostname {
            None => self.any.get_or_insert_default(),
            Some(Hostname::Exact(name)) => self.exact.entry(Arc::clone(name)).or_default(),
            Some(Hostname::Wildcard(suffix)) => {
                self.wildcards.entry(Arc::clone(suffix)).or_default()
            }
        }
    }
}

impl<V> HostIndex<V> {
    /// All values, in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.exact
            .values_mut()
            .chain(self.wildcards.values_mut())
            .chain(self.any.as_mut())
    }

    /// Values that serve `host`, which is in lower case, the most specific first.
    pub(crate) fn matching<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a V> {
        let exact = self.exact.get(host);
        // A wildcard stands for at least one character, so a leading dot is no suffix.
        let dots = if self.wildcards.is_empty() { "" } else { host };
        let wildcards = dots
            .match_indices('.')
            .filter(|(index, _)| *index > 0)
            .filter_map(|(index, _)| self.wildcards.get(&host[index..]));
        exact.into_iter().chain(wildcards).chain(self.any.as_ref())
    }

    /// The value that serves `host` best.
    pub(crate) fn best<'a>(&'a self, host: &'a str) -> Option<&'a V> {
        self.matching(host).next()
    }
}

/// Host of a `Host` header or an authority, without its port.
pub(crate) fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// Room for a host in lower case, so that looking it up takes no allocation.
pub(crate) struct Lowered {
    bytes: [u8; MAX_HOST_BYTES],
}

impl Default for Lowered {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_HOST_BYTES],
        }
    }
}

impl Lowered {
    /// The host in lower case, without the dot that ends an absolute name; empty if it is too long.
    pub(crate) fn fill(&mut self, host: &str) -> &str {
        let host = host.strip_suffix('.').unwrap_or(host);
        let Some(bytes) = self.bytes.get_mut(..host.len()) else {
            return "";
        };
        bytes.copy_from_slice(host.as_bytes());
        bytes.make_ascii_lowercase();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
