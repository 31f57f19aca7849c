//! `p2p-source-producer`: which endpoint the chosen one should fetch KV blocks from.

use std::sync::Arc;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Placed, PreRequest, Produced, Producer, Slot, SourceId};

pub(super) const KIND: Kind = Kind::new::<P2pSource>(
    "p2p-source-producer",
    Roles::PRODUCER.and(Roles::PRE_REQUEST),
)
.alpha();

const HEADER: HeaderName = HeaderName::from_static("x-kv-cache-source-host-port");

/// Of the endpoints that hold the most of the prompt, within a block, one is drawn by request id,
/// those with short queues more often. The header names it if it holds enough more than the
/// endpoint that will compute.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct P2pSource {
    /// Tokens that the source must hold more, 1 or more.
    min_cached_token_delta: i64,
    /// Profile of the endpoint that computes; that which gets the request if it chose none.
    prefill_profile_name: String,
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
}

impl Default for P2pSource {
    fn default() -> Self {
        Self {
            min_cached_token_delta: 1,
            prefill_profile_name: "prefill".to_owned(),
            prefix_match_info_producer_name: String::new(),
        }
    }
}

#[derive(Debug)]
struct Peer {
    delta: u64,
    profile: String,
    source: SourceId,
    slot: Slot,
}

impl PluginType for P2pSource {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let delta = self.min_cached_token_delta;
        build.require(delta >= 1, "minCachedTokenDelta", delta, ">= 1");
        let peer = Arc::new(Peer {
            delta: delta.max(1).unsigned_abs(),
            profile: self.prefill_profile_name,
            source: build.prefix_source(&self.prefix_match_info_producer_name),
            slot: build.slot(),
        });
        Instance {
            producer: Some(peer.clone()),
            placed: Some(peer),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, &self.prefix_match_info_producer_name)
        .needing(Data::CoreMetrics, "")
    }
}

/// FNV-1a of 32 bits, as a share of its range.
fn draw(request_id: &str) -> f64 {
    let hash = request_id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    f64::from(hash) / 4_294_967_296.0
}

impl Producer for Peer {
    fn produce(&self, field: &Field<'_>, kept: &[u32], _: &mut Produced) {
        let matched = |index: u32| field.matched(self.source, index);
        let most = kept.iter().map(|&index| matched(index)).max().unwrap_or(0);
        if most == 0 {
            return;
        }
        let weight = |index: u32| {
            let queue = field.state(index).signals.scraped.waiting;
            1.0 / (1.0 + f64::from(queue))
        };
        let near = || {
            kept.iter()
                .copied()
                .filter(|&index| matched(index) + 1 >= most)
        };
        let total: f64 = near().map(weight).sum();
        let mut left = draw(field.query.request_id) * total;
        let mut chosen = None;
        for index in near() {
            chosen = Some(index);
            left -= weight(index);
            if left < 0.0 {
                break;
            }
        }
        if let Some(index) = chosen {
            field.findings.set_note(self.slot, u64::from(index) + 1);
        }
    }
}

impl PreRequest for Peer {
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects) {
        effects.remove(&HEADER);
        let field = placed.field;
        let noted = field.findings.note(self.slot).checked_sub(1);
        let computing = placed.target(&self.profile).or_else(|| placed.primary());
        let (Some(index), Some(computing)) = (noted, computing) else {
            return;
        };
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let ids = field.endpoints.iter().map(|endpoint| endpoint.id());
        let Some(own) = ids.into_iter().position(|id| id == computing.id()) else {
            return;
        };
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        let tokens = |index| field.query.tokens_in(field.matched(self.source, index));
        if index != own && tokens(index) >= tokens(own) + self.delta {
            let address = field.endpoints[index as usize].address();
            effects.set(&HEADER, &address.to_string());
        }
    }
}
