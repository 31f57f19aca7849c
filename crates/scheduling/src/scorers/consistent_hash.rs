//! `consistent-hash-scorer`: requests with one key go to one endpoint, as long as it has no more
//! than its share.

use std::hash::{DefaultHasher, Hash, Hasher};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<ConsistentHash>("consistent-hash-scorer", Roles::SCORER).ours();

/// What requests are told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum HashKey {
    /// The beginning of the prompt.
    #[default]
    Prefix,
    /// A request header.
    Header,
    /// The model.
    Model,
}

/// Rendezvous hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2018): each endpoint
/// has a hash with the key, and the greatest wins among those with fewer than
/// `loadFactor · (requests + 1) / endpoints` requests of ours. When an endpoint comes or goes, only
/// its own keys move.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConsistentHash {
    /// What requests are told apart by.
    key: HashKey,
    /// For `prefix`: tokens of the prompt that make the key, in whole blocks of the gateway.
    prefix_tokens: u32,
    /// For `header`: the header, in any case.
    header_name: String,
    /// How many times its fair share of requests an endpoint may have, above 1.
    load_factor: f64,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self {
            key: HashKey::Prefix,
            prefix_tokens: 256,
            header_name: String::new(),
            load_factor: 1.25,
        }
    }
}

impl PluginType for ConsistentHash {
    fn build(mut self, build: &mut Build<'_>) -> Instance {
        self.header_name = self.header_name.trim().to_ascii_lowercase();
        if self.key == HashKey::Header && self.header_name.is_empty() {
            build.fault("headerName", "headerName is required when key is header");
        }
        let factor = self.load_factor;
        build.require(factor > 1.0, "loadFactor", factor, "> 1");
        Instance::scorer(self)
    }
}

impl ConsistentHash {
    /// A hash of the key; `None` for a request without one.
    fn key(&self, field: &Field<'_>) -> Option<u64> {
        let query = field.query;
        let text = |text: &str| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        };
        match self.key {
            // A block's hash stands for all before it.
            HashKey::Prefix => {
                let blocks = (self.prefix_tokens / query.block_tokens.max(1)).max(1) as usize;
                let last = blocks.min(query.blocks.len()).checked_sub(1)?;
                Some(query.blocks[last])
            }
            HashKey::Header => query.headers.get(&self.header_name).map(text),
            HashKey::Model => Some(text(query.model)),
        }
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Scorer for ConsistentHash {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::HEADERS
    }

    /// 0.5 to 1 by hash for endpoints within their bound, 0 to 0.5 for the others; the same for all
    /// without a key.
    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let Some(key) = self.key(field) else {
            out.fill(1.0);
            return;
        };
        let requests = |index: u32| field.state(index).load.requests;
        let total: u64 = kept.iter().map(|&index| requests(index)).sum();
        let fair = (total + 1) as f64 / kept.len() as f64;
        let bound = (self.load_factor * fair).ceil() as u64;
        for (out, &index) in out.iter_mut().zip(kept) {
            let id = u64::from(field.endpoints[index as usize].id());
            // 23 bits are what the upper half of the range can tell apart.
            let hash = (mix(key ^ mix(id)) >> 41) as f32 / (1u32 << 23) as f32;
            let within = requests(index) < bound;
            *out = hash / 2.0 + if within { 0.5 } else { 0.0 };
        }
    }
}
