//! Where sessions go.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signals::Time;

/// Independent maps, so that requests rarely wait for each other.
const SHARDS: usize = 16;

/// A session, by a hash of its id: ids come from clients, can be long, and must not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey(u64, u64);

impl SessionKey {
    pub(super) fn of(id: &str) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            id.hash(&mut hasher);
            hasher.finish()
        };
        Self(half(1), half(2))
    }

    fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    endpoint: u32,
    used: Time,
}

#[derive(Debug, Default)]
struct Shard {
    sessions: HashMap<SessionKey, Binding>,
    swept: Time,
}

/// Session → endpoint. Bounded in time and number.
#[derive(Debug)]
pub(super) struct Bindings {
    shards: [Mutex<Shard>; SHARDS],
    ttl: Duration,
    sweep: Duration,
    most_per_shard: usize,
}

impl Bindings {
    pub(super) fn new(ttl_secs: f64, sweep_secs: f64, most: usize) -> Self {
        let span = |secs: f64| Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            ttl: span(ttl_secs),
            sweep: span(sweep_secs),
            most_per_shard: most.div_ceil(SHARDS).max(1),
        }
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the session goes; `None` for one that is not known or has been idle too long.
    pub(super) fn endpoint_of(&self, key: SessionKey, now: Time) -> Option<u32> {
        let shard = self.lock(key.shard());
        let binding = shard.sessions.get(&key)?;
        (now.saturating_since(binding.used) <= self.ttl).then_some(binding.endpoint)
    }

    /// The session goes to `endpoint`. One that goes elsewhere already stays there, unless `moves`.
    pub(super) fn bind(&self, key: SessionKey, endpoint: u32, moves: bool, now: Time) {
        let mut shard = self.lock(key.shard());
        let shard = &mut *shard;
        if now.saturating_since(shard.swept) >= self.sweep
            || shard.sessions.len() >= self.most_per_shard
        {
            let ttl = self.ttl;
            let alive = |binding: &Binding| now.saturating_since(binding.used) <= ttl;
            shard.sessions.retain(|_, binding| alive(binding));
            shard.swept = now;
        }
        let fresh = Binding {
            endpoint,
            used: now,
        };
        if let Some(known) = shard.sessions.get_mut(&key) {
            let expired = now.saturating_since(known.used) > self.ttl;
            if known.endpoint == endpoint || moves || expired {
                *known = fresh;
            }
        } else if shard.sessions.len() < self.most_per_shard {
            shard.sessions.insert(key, fresh);
        }
    }

    /// Sessions of an endpoint that is gone choose anew.
    pub(super) fn forget(&self, endpoint: u32) {
        for shard in 0..SHARDS {
            let mut shard = self.lock(shard);
            shard
                .sessions
                .retain(|_, binding| binding.endpoint != endpoint);
        }
    }
}
