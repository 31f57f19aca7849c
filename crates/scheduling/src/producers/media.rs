//! `mm-embeddings-cache-producer`: which endpoints have encoded which images, sounds and videos.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::Endpoint;

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Keeper, Placed, PreRequest, Produced, Producer};

pub(super) const KIND: Kind = Kind::new::<Media>(
    "mm-embeddings-cache-producer",
    Roles::PRODUCER.and(Roles::PRE_REQUEST),
);

const MEGABYTES_DEFAULT: i64 = 4096;
/// What one encoded item is reckoned to take.
const MEGABYTES_PER_ITEM: i64 = 2;

/// How much is remembered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Media {
    /// Megabytes of encoded media that a server keeps, 2 to an item; not above 0: the default.
    #[serde(rename = "cacheSizeInMBPerServer")]
    cache_size_in_mb_per_server: i64,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            cache_size_in_mb_per_server: MEGABYTES_DEFAULT,
        }
    }
}

impl PluginType for Media {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let megabytes = match self.cache_size_in_mb_per_server {
            given if given > 0 => given,
            _ => MEGABYTES_DEFAULT,
        };
        let items = usize::try_from(megabytes / MEGABYTES_PER_ITEM).unwrap_or(1);
        let cache = Arc::new(Cache {
            items: items.max(1),
            held: Mutex::default(),
        });
        Instance {
            producer: Some(cache.clone()),
            placed: Some(cache.clone()),
            keeper: Some(cache),
            ..Instance::default()
        }
        .needing(Data::Tokens, "")
        .providing(Data::MediaMatch)
    }
}

/// Items of one endpoint with the time of their last use, in uses.
#[derive(Debug, Default)]
struct Held {
    items: HashMap<u64, u64>,
    clock: u64,
}

impl Held {
    fn add(&mut self, item: u64, most: usize) {
        self.clock += 1;
        self.items.insert(item, self.clock);
        if self.items.len() > most {
            // A rare look at all of them, for requests with media alone.
            let oldest = self.items.iter().min_by_key(|(_, used)| **used);
            if let Some(oldest) = oldest.map(|(item, _)| *item) {
                self.items.remove(&oldest);
            }
        }
    }
}

#[derive(Debug)]
struct Cache {
    items: usize,
    held: Mutex<HashMap<u32, Held>>,
}

impl Producer for Cache {
    fn produce(&self, field: &Field<'_>, _: &[u32], out: &mut Produced) {
        let wanted = field.query.media;
        if wanted.is_empty() {
            return;
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let share = |endpoint: &Arc<Endpoint>| {
            let Some(held) = held.get(&endpoint.id()) else {
                return 0.0;
            };
            let found = wanted.iter().filter(|item| held.items.contains_key(item));
            found.count() as f32 / wanted.len() as f32
        };
        out.media.extend(field.endpoints.iter().map(share));
    }
}

impl PreRequest for Cache {
    fn placed(&self, placed: &Placed<'_>, _: &mut Effects) {
        let items = placed.field.query.media;
        let decision = placed.ran[placed.primary].decision();
        let (false, Some(decision)) = (items.is_empty(), decision) else {
            return;
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for choice in decision.targets() {
            let held = held.entry(choice.endpoint.id()).or_default();
            for item in items {
                held.add(*item, self.items);
            }
        }
    }
}

impl Keeper for Cache {
    fn forget(&self, endpoint: &Endpoint) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&endpoint.id());
    }
}
