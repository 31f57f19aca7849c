//! The endpoints of one request, and how far the trying has come.

use std::net::SocketAddr;
use std::sync::Arc;

use signals::Endpoint;
use smallvec::SmallVec;

/// Endpoints to try, best first, and how far the trying has come.
#[derive(Debug)]
pub(crate) struct Targets {
    list: SmallVec<[Arc<Endpoint>; 8]>,
    current: usize,
    attempts: usize,
    attempts_max: usize,
}

impl Targets {
    pub(crate) fn new(list: SmallVec<[Arc<Endpoint>; 8]>, attempts_max: usize) -> Self {
        Self {
            list,
            current: 0,
            attempts: 1,
            attempts_max,
        }
    }

    /// The endpoint to send to now.
    pub(super) fn current(&self) -> Option<&Arc<Endpoint>> {
        self.list.get(self.current)
    }

    /// All of them, best first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.list.iter()
    }

    /// Makes the endpoint at `address` the current one, if it is on the list.
    pub(super) fn move_to(&mut self, address: SocketAddr) -> bool {
        let found = self
            .list
            .iter()
            .position(|endpoint| endpoint.address() == address);
        if let Some(index) = found {
            self.current = index;
            self.attempts += 1;
        }
        found.is_some()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Attempts begun, the one under way included.
    pub(super) fn attempts(&self) -> usize {
        self.attempts
    }

    /// Whether an endpoint is left that was not tried, and may be.
    pub(super) fn has_untried(&self) -> bool {
        self.attempts < self.list.len().min(self.attempts_max)
    }

    /// Moves on to the next endpoint; after the last one, back to the first if `cycle`.
    pub(super) fn advance(&mut self, cycle: bool) -> bool {
        if self.list.is_empty() || !(self.has_untried() || cycle) {
            return false;
        }
        self.current = (self.current + 1) % self.list.len();
        self.attempts += 1;
        true
    }
}
