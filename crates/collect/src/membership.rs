//! From configured targets to the endpoints of a pool.

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use signals::EndpointSet;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Observer, Resolve, Target, resolve};
use state::State;

/// Names asked for at the same time.
const LOOKUPS_AT_ONCE: usize = 16;

/// How membership is kept.
#[derive(Clone, Debug)]
pub struct MembershipOptions {
    /// How often DNS names are asked for again.
    pub resolve_period: Duration,
}

impl Default for MembershipOptions {
    fn default() -> Self {
        Self {
            resolve_period: Duration::from_secs(5),
        }
    }
}

/// The endpoints of one pool.
///
/// [`Membership::update`] says which targets there are; [`Membership::run`] follows their names.
/// Readers take a set and work on it as long as they like.
pub struct Membership {
    options: MembershipOptions,
    resolver: Arc<dyn Resolve>,
    observers: Vec<Arc<dyn Observer>>,
    state: Mutex<State>,
    endpoints: ArcSwap<EndpointSet>,
    /// New names are waiting to be resolved.
    new_names: Notify,
    /// Whether every name was tried at least once.
    settled: watch::Sender<bool>,
}

impl Membership {
    /// An empty pool.
    #[must_use]
    pub fn new(
        options: MembershipOptions,
        resolver: Arc<dyn Resolve>,
        observers: Vec<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            options,
            resolver,
            observers,
            state: Mutex::default(),
            endpoints: ArcSwap::default(),
            new_names: Notify::new(),
            settled: watch::Sender::new(true),
        }
    }

    /// The endpoints now.
    #[must_use]
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.endpoints.load_full()
    }

    /// The endpoints now, without touching a reference count: for the request path.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<EndpointSet>> {
        self.endpoints.load()
    }

    /// Replaces the targets. Addresses, and names already known, take effect at once; new names
    /// take effect when [`Membership::run`] has resolved them, for which [`Membership::settled`]
    /// waits.
    pub fn update(&self, targets: Vec<Target>) {
        let mut state = self.lock();
        state.targets = targets;
        let unknown = state.unknown_names();
        state.forget_unused_names();
        self.publish(&mut state);
        if unknown {
            self.settled.send_replace(false);
            self.new_names.notify_one();
        }
    }

    /// Waits until every name has been tried, with or without success. Returns at once when there
    /// are no new names. Needs [`Membership::run`] to be running.
    pub async fn settled(&self) {
        // Fails only when the sender is gone, and it lives in `self`.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Follows DNS names until `cancel`. Does nothing while all targets are addresses.
    pub async fn run(&self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.new_names.notified() => {}
                () = tokio::time::sleep(self.options.resolve_period) => {}
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.resolve_all() => {}
            }
        }
    }

    async fn resolve_all(&self) {
        let names: Vec<Arc<str>> = self.lock().names().into_iter().collect();
        for some in names.chunks(LOOKUPS_AT_ONCE) {
            let mut lookups = JoinSet::new();
            for name in some {
                let (name, lookup) = (name.clone(), self.resolver.resolve(name));
                lookups.spawn(async move { (name, lookup.await) });
            }
            while let Some(ended) = lookups.join_next().await {
                // A resolver that panicked has told us nothing.
                let Ok((name, result)) = ended else { continue };
                self.lock().note(&name, result.map(resolve::usable));
            }
        }
        let mut state = self.lock();
        self.publish(&mut state);
        let names: BTreeSet<Arc<str>> = names.into_iter().collect();
        // An update during the lookups may have brought names that were not tried yet.
        if state.names().is_subset(&names) {
            self.settled.send_replace(true);
        }
    }

    /// Publishes the set that follows from the state, if it differs from the present one.
    fn publish(&self, state: &mut State) {
        let present = self.endpoints.load_full();
        let Some(change) = state.next(&present) else {
            return;
        };
        for endpoint in &change.added {
            for observer in &self.observers {
                observer.added(endpoint);
            }
        }
        let (generation, count) = (change.set.generation, change.set.endpoints.len());
        self.endpoints.store(Arc::new(change.set));
        for endpoint in &change.removed {
            // Decisions made before may still list it as a fallback.
            endpoint.health().set_draining(true);
            for observer in &self.observers {
                observer.removed(endpoint);
            }
        }
        tracing::info!(
            generation,
            endpoints = count,
            added = change.added.len(),
            removed = change.removed.len(),
            "endpoints changed"
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses of one name, or that it has none yet.
#[derive(Debug, Default)]
struct Name {
    addresses: Vec<IpAddr>,
    failing: bool,
}
