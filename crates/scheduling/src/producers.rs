//! Data producers, one a file.

mod approximate_prefix;
mod burst_prefix;
mod in_flight;
mod latency;
mod media;
mod p2p_source;
mod precise_prefix;
mod tokens;

pub use approximate_prefix::ApproximatePrefix;
pub use precise_prefix::{
    BlockIndex, CacheTier, CostAwareIndex, InMemoryIndex, KvEvents, PodDiscovery, PreciseIndexer,
    PrecisePrefix, RedisIndex, TokenProcessor,
};
pub use tokens::{
    Estimate, ImageEstimate, TokenBackend, Tokens, VideoEstimate, VideoHints, VllmTokens,
};

use crate::Kind;

pub(crate) const KINDS: &[&[Kind]] = &[
    approximate_prefix::KINDS,
    precise_prefix::KINDS,
    tokens::KINDS,
    &[
        burst_prefix::KIND,
        in_flight::KIND,
        latency::KIND,
        media::KIND,
        p2p_source::KIND,
    ],
];
