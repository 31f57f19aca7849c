//! `no-hit-lru-scorer`: prompts that nobody holds go to the endpoint that got such a prompt the
//! longest time ago, so that caches grow evenly.

use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Keeper, Placed, PreRequest, Reads, Scorer, Slot, SourceId};

pub(super) const KIND: Kind =
    Kind::new::<NoHitLru>("no-hit-lru-scorer", Roles::SCORER.and(Roles::PRE_REQUEST));

/// Profiles whose choices count beside the one that gets the request.
const PREFILL: &str = "prefill";

/// 0.5 for all when any endpoint holds a part of the prompt. Else the longest unused first:
/// never-used ones in the order of the list, then by last use; from 1 down to 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NoHitLru {
    /// Endpoints remembered; not above 0: the default.
    lru_size: i64,
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
    /// Accepted for compatibility.
    prefix_plugin_type: String,
    /// Accepted for compatibility.
    prefix_plugin_name: String,
}

const SIZE_DEFAULT: usize = 1024;

impl Default for NoHitLru {
    fn default() -> Self {
        Self {
            lru_size: SIZE_DEFAULT as i64,
            prefix_match_info_producer_name: String::new(),
            prefix_plugin_type: String::new(),
            prefix_plugin_name: String::new(),
        }
    }
}

impl PluginType for NoHitLru {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let size = usize::try_from(self.lru_size).unwrap_or(0);
        let plugin = Arc::new(Lru {
            source: build.prefix_source(&self.prefix_match_info_producer_name),
            slot: build.slot(),
            size: if size == 0 { SIZE_DEFAULT } else { size },
            used: Mutex::default(),
        });
        Instance {
            scorer: Some(plugin.clone()),
            placed: Some(plugin.clone()),
            keeper: Some(plugin),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, &self.prefix_match_info_producer_name)
    }
}

/// Noted when the endpoints that were scored hold nothing of the prompt.
const COLD: u64 = 1;
/// Noted when one holds something.
const WARM: u64 = 2;

#[derive(Debug)]
struct Lru {
    source: SourceId,
    slot: Slot,
    size: usize,
    /// Endpoint ids, the longest unused first.
    used: Mutex<Vec<u32>>,
}

impl Scorer for Lru {
    fn reads(&self) -> Reads {
        Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let warm = kept
            .iter()
            .any(|&index| field.matched(self.source, index) > 0);
        field
            .findings
            .set_note(self.slot, if warm { WARM } else { COLD });
        if warm || kept.len() == 1 {
            out.fill(if warm { 0.5 } else { 1.0 });
            return;
        }
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |index: u32| {
            let id = field.endpoints[index as usize].id();
            used.iter().position(|known| *known == id)
        };
        let last = (kept.len() - 1) as f32;
        let mut fresh = 0;
        for (out, &index) in out.iter_mut().zip(kept) {
            if place(index).is_none() {
                *out = 1.0 - fresh as f32 / last;
                fresh += 1;
            }
        }
        for (out, &index) in out.iter_mut().zip(kept) {
            if let Some(place) = place(index) {
                *out = (1.0 - (fresh + place) as f32 / last).max(0.0);
            }
        }
    }
}

impl PreRequest for Lru {
    fn placed(&self, placed: &Placed<'_>, _: &mut Effects) {
        if placed.field.findings.note(self.slot) != COLD {
            return;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = [placed.primary(), placed.target(PREFILL)];
        for endpoint in chosen.into_iter().flatten() {
            used.retain(|id| *id != endpoint.id());
            used.push(endpoint.id());
        }
        let excess = used.len().saturating_sub(self.size);
        used.drain(..excess);
    }
}

impl Keeper for Lru {
    fn forget(&self, endpoint: &signals::Endpoint) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|id| *id != endpoint.id());
    }
}
