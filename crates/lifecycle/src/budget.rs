//! Process-wide budgets: bytes of request bodies held in memory, and requests in flight.
//!
//! Both are guards: dropping the claim gives the share back, on every path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bounded, shared amount. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    used: AtomicU64,
    limit: u64,
}

impl Budget {
    /// A budget of `limit` units (bytes or requests).
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                used: AtomicU64::new(0),
                limit,
            }),
        }
    }

    /// Units in use now; the gauge beside the bound.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// The bound.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    /// An empty claim on this budget.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim {
            budget: self.clone(),
            held: 0,
        }
    }
}

/// A share of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    budget: Budget,
    held: u64,
}

impl Claim {
    /// Takes `amount` more units. Returns false, and takes nothing, when that would pass the limit.
    #[must_use]
    pub fn grow(&mut self, amount: u64) -> bool {
        let limit = self.budget.shared.limit;
        let taken =
            self.budget
                .shared
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                    used.checked_add(amount).filter(|sum| *sum <= limit)
                });
        if taken.is_ok() {
            self.held += amount;
        }
        taken.is_ok()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget
            .shared
            .used
            .fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_gives_its_share_back_when_dropped() {
        let budget = Budget::new(10);
        let mut first = budget.claim();
        assert!(first.grow(4));
        assert!(first.grow(4));
        let mut second = budget.claim();
        assert!(!second.grow(3), "only two units are left");
        assert!(second.grow(2));
        assert_eq!(budget.used(), 10);
        drop(first);
        assert_eq!(budget.used(), 2);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_absurd_amount_does_not_wrap_around() {
        let budget = Budget::new(u64::MAX);
        let mut claim = budget.claim();
        assert!(claim.grow(u64::MAX));
        assert!(!claim.grow(1));
    }
}
