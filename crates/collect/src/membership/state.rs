//! The part of membership that knows no I/O.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use signals::{Endpoint, EndpointIdentity, EndpointSet};

use super::Name;
use crate::Target;

/// Ids of all endpoints of the process. Four thousand million pods are more than a process meets.
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// An endpoint's place: the target's name and the address.
type Key = (Arc<str>, SocketAddr);

#[derive(Default)]
pub(super) struct State {
    pub(super) targets: Vec<Target>,
    names: HashMap<Arc<str>, Name>,
    members: HashMap<Key, Arc<Endpoint>>,
}

/// A new set and how it differs from the one before.
pub(super) struct Change {
    pub(super) set: EndpointSet,
    pub(super) added: Vec<Arc<Endpoint>>,
    pub(super) removed: Vec<Arc<Endpoint>>,
}

impl State {
    /// The DNS names among the targets.
    pub(super) fn names(&self) -> BTreeSet<Arc<str>> {
        let named = self
            .targets
            .iter()
            .filter(|target| target.literal().is_none());
        named.map(|target| target.host.clone()).collect()
    }

    /// Whether some name was never tried.
    pub(super) fn unknown_names(&self) -> bool {
        self.names()
            .iter()
            .any(|name| !self.names.contains_key(name))
    }

    pub(super) fn forget_unused_names(&mut self) {
        let used = self.names();
        self.names.retain(|name, _| used.contains(name));
    }

    /// Takes in the result of a lookup. A failure, or an answer without addresses, keeps the last
    /// good addresses.
    pub(super) fn note(&mut self, name: &Arc<str>, result: io::Result<Vec<IpAddr>>) {
        let known = self.names.entry(name.clone()).or_default();
        let reason = match result {
            Ok(addresses) if !addresses.is_empty() => {
                if known.failing {
                    tracing::info!(%name, addresses = addresses.len(), "name resolves again");
                }
                *known = Name {
                    addresses,
                    failing: false,
                };
                return;
            }
            Ok(_) => "the name has no address".to_owned(),
            Err(error) => error.to_string(),
        };
        if !known.failing {
            let kept = known.addresses.len();
            tracing::warn!(%name, reason, kept, "name does not resolve; keeping its last addresses");
        }
        known.failing = true;
    }

    /// The set that follows from targets and names; `None` if it is `present`.
    pub(super) fn next(&mut self, present: &EndpointSet) -> Option<Change> {
        let mut next = HashMap::with_capacity(self.members.len());
        let mut order = Vec::with_capacity(self.members.len());
        let mut added = Vec::new();
        for target in &self.targets {
            let literal = target.literal();
            let addresses = match &literal {
                Some(address) => std::slice::from_ref(address),
                None => self
                    .names
                    .get(&target.host)
                    .map_or(&[][..], |name| &name.addresses),
            };
            for &address in addresses {
                let key = (target.name.clone(), SocketAddr::new(address, target.port));
                if next.contains_key(&key) {
                    tracing::warn!(name = %target.name, "two targets share a name and an address; using one");
                    continue;
                }
                let kept = self
                    .members
                    .get(&key)
                    .filter(|member| same(member.identity(), target));
                let endpoint = kept.cloned().unwrap_or_else(|| {
                    let endpoint = create(target, key.1, addresses.len() > 1);
                    added.push(endpoint.clone());
                    endpoint
                });
                order.push(endpoint.clone());
                next.insert(key, endpoint);
            }
        }
        let old = std::mem::replace(&mut self.members, next);
        let kept: HashSet<u32> = order.iter().map(|endpoint| endpoint.id()).collect();
        let mut removed: Vec<_> = old
            .into_values()
            .filter(|m| !kept.contains(&m.id()))
            .collect();
        removed.sort_unstable_by_key(|endpoint| endpoint.id());
        let reordered = || {
            order
                .iter()
                .zip(&present.endpoints)
                .any(|(a, b)| a.id() != b.id())
        };
        if added.is_empty() && removed.is_empty() && !reordered() {
            return None;
        }
        let set = EndpointSet {
            generation: present.generation + 1,
            endpoints: order,
        };
        Some(Change {
            set,
            added,
            removed,
        })
    }
}

/// Whether an endpoint still is what the target says. Its display name is not compared: it depends
/// on how many addresses the target's name had when the endpoint joined.
fn same(identity: &EndpointIdentity, target: &Target) -> bool {
    identity.host == target.host
        && identity.https == target.https
        && identity.rank == target.rank
        && identity.labels == target.labels
}

fn create(target: &Target, address: SocketAddr, one_of_several: bool) -> Arc<Endpoint> {
    let name = if one_of_several {
        format!("{}@{}", target.name, address.ip()).into()
    } else {
        target.name.clone()
    };
    let identity = EndpointIdentity {
        name,
        address,
        host: target.host.clone(),
        https: target.https,
        labels: target.labels.clone(),
        rank: target.rank,
    };
    Arc::new(Endpoint::new(
        NEXT_ID.fetch_add(1, Ordering::Relaxed),
        identity,
    ))
}
