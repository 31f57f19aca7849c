//! `approx-prefix-cache-producer`: who holds a prompt's beginning, by where prompts were sent.
//!
//! The index itself is [`crate::PrefixIndex`]. The instance of the usual name stands for the
//! pool's own; each other one has an index beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::Endpoint;

use crate::PrefixIndex;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::settings::Setting;

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<ApproximatePrefix>("approx-prefix-cache-producer", Roles::PRODUCER),
    Kind::new::<ApproximatePrefix>("multicluster-approx-prefix-cache-producer", Roles::PRODUCER)
        .alpha(),
];

/// The smallest block the reference works with, in tokens.
const LEAST_BLOCK: i64 = 64;
const BLOCK_DEFAULT: i64 = 16;
const CAPACITY_DEFAULT: i64 = 31_250;

/// How much is remembered. Blocks are always those the gateway cuts prompts into; where sizes
/// matter they are reckoned in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApproximatePrefix {
    /// Take capacities from what servers report.
    pub auto_tune: bool,
    /// Tokens in a block as `lruCapacityPerServer` counts them; at least 64 are reckoned with.
    pub block_size_tokens: i64,
    /// Deprecated: `blockSizeTokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<i64>,
    /// Tokens of a prompt that are looked at; all when left out. 0: see `maxPrefixBlocksToMatch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_prefix_tokens_to_match: Option<i64>,
    /// Deprecated: blocks of a prompt that are looked at when `maxPrefixTokensToMatch` is 0; 0: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_prefix_blocks_to_match: Option<i64>,
    /// Blocks remembered per server, where its capacity is not known or not to be asked for.
    pub lru_capacity_per_server: i64,
}

impl Default for ApproximatePrefix {
    fn default() -> Self {
        Self {
            auto_tune: true,
            block_size_tokens: BLOCK_DEFAULT,
            block_size: None,
            max_prefix_tokens_to_match: None,
            max_prefix_blocks_to_match: None,
            lru_capacity_per_server: CAPACITY_DEFAULT,
        }
    }
}

impl ApproximatePrefix {
    /// Tokens in a block as the configuration counts them.
    fn block_tokens(&self) -> u64 {
        let given = match self.block_size {
            Some(old) if self.block_size_tokens == BLOCK_DEFAULT => old,
            _ => self.block_size_tokens,
        };
        given.max(LEAST_BLOCK).unsigned_abs()
    }

    /// Blocks of `block_tokens` that are looked at; `None` = all.
    #[must_use]
    pub fn blocks_max(&self, block_tokens: u32) -> Option<usize> {
        let tokens = u64::try_from(self.max_prefix_tokens_to_match?).unwrap_or(0);
        if tokens > 0 {
            let blocks = tokens / u64::from(block_tokens.max(1));
            return usize::try_from(blocks).ok();
        }
        let blocks = self.max_prefix_blocks_to_match.unwrap_or(2048);
        usize::try_from(blocks).ok().filter(|blocks| *blocks > 0)
    }

    /// Blocks of `block_tokens` that are remembered of an endpoint.
    #[must_use]
    pub fn capacity(&self, endpoint: &Endpoint, block_tokens: u32) -> u32 {
        if self.auto_tune {
            return PrefixIndex::capacity_blocks(endpoint, block_tokens);
        }
        let blocks = match u64::try_from(self.lru_capacity_per_server) {
            Ok(given) if given > 0 => given,
            _ => CAPACITY_DEFAULT.unsigned_abs(),
        };
        let tokens = blocks.saturating_mul(self.block_tokens());
        u32::try_from(tokens / u64::from(block_tokens.max(1))).unwrap_or(u32::MAX)
    }
}

impl PluginType for ApproximatePrefix {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let block = self.block_size_tokens;
        if !self.auto_tune {
            build.require(
                block > 0,
                "blockSizeTokens",
                block,
                "> 0 unless autoTune is on",
            );
        }
        if self.block_size.is_some() {
            build.warn("blockSize", "is deprecated, use blockSizeTokens");
        }
        let limits = [
            ("maxPrefixTokensToMatch", self.max_prefix_tokens_to_match),
            ("maxPrefixBlocksToMatch", self.max_prefix_blocks_to_match),
        ];
        for (path, limit) in limits {
            let limit = limit.unwrap_or(0);
            build.require(limit >= 0, path, limit, ">= 0");
        }
        Instance::setting(Setting::ApproximatePrefix(self))
            .needing(Data::Tokens, "")
            .providing(Data::PrefixMatch)
    }
}
