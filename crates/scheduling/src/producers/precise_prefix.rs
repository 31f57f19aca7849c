//! `precise-prefix-cache-producer`: who holds a prompt's beginning, by what engines say they hold.

use std::sync::Arc;

use resources::GoDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::scorers::prefix_match;
use crate::settings::Setting;

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<PrecisePrefix>(
        "precise-prefix-cache-producer",
        Roles::PRODUCER
            .and(Roles::PRE_REQUEST)
            .and(Roles::EXTRACTOR),
    ),
    Kind::new::<PrecisePrefix>(
        "precise-prefix-cache-scorer",
        Roles::SCORER
            .and(Roles::PRODUCER)
            .and(Roles::PRE_REQUEST)
            .and(Roles::EXTRACTOR),
    )
    .deprecated("use precise-prefix-cache-producer with prefix-cache-scorer"),
];

/// An index of KV blocks, fed by the events of engines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrecisePrefix {
    /// How prompts are cut into blocks and hashed.
    pub token_processor_config: TokenProcessor,
    /// How the index is kept.
    pub indexer_config: PreciseIndexer,
    /// Where events come from.
    pub kv_events_config: KvEvents,
    /// Count blocks of prompts just sent as held, for a short time.
    pub speculative_indexing: bool,
    /// For how long; not above 0s: 2s.
    #[serde(rename = "speculativeTTL")]
    pub speculative_ttl: GoDuration,
}

impl Default for PrecisePrefix {
    fn default() -> Self {
        Self {
            token_processor_config: TokenProcessor::default(),
            indexer_config: PreciseIndexer::default(),
            kv_events_config: KvEvents::default(),
            speculative_indexing: false,
            speculative_ttl: GoDuration {
                nanos: 2_000_000_000,
            },
        }
    }
}

/// How prompts are cut into blocks and hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenProcessor {
    /// Tokens in a block; that of the engines, usually 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size_tokens: Option<i64>,
    /// Deprecated: `blockSizeTokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<i64>,
    /// Changes the keys of this index alone.
    pub hash_seed: String,
    /// `cbor-fnv` or `xxh64`; `cbor-fnv` when empty.
    pub hash_algorithm: String,
}

impl TokenProcessor {
    /// Tokens in a block.
    #[must_use]
    pub fn block_tokens(&self) -> i64 {
        match (self.block_size_tokens, self.block_size) {
            (Some(size), _) if size != 0 => size,
            (_, Some(size)) if size != 0 => size,
            _ => 16,
        }
    }
}

/// How the index is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreciseIndexer {
    /// Where it is kept.
    #[serde(rename = "kvBlockIndexConfig")]
    pub kv_block_index_config: BlockIndex,
    /// What a block on each kind of memory is worth.
    #[serde(rename = "kvCacheBackendConfigs")]
    pub kv_cache_backend_configs: Vec<CacheTier>,
    /// Only for `precise-prefix-cache-scorer`, which once had tokenizers of its own.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub tokenizers_pool_config: Value,
}

/// What a block on one kind of memory is worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CacheTier {
    /// `gpu`, `cpu` or another name that engines use.
    pub name: String,
    /// Against 1 for a block on the GPU.
    pub weight: f64,
}

impl Default for PreciseIndexer {
    fn default() -> Self {
        let tier = |name: &str, weight| CacheTier {
            name: name.to_owned(),
            weight,
        };
        Self {
            kv_block_index_config: BlockIndex::default(),
            kv_cache_backend_configs: vec![tier("gpu", 1.0), tier("cpu", 0.8)],
            tokenizers_pool_config: Value::Null,
        }
    }
}

/// Where the index is kept. Ours is always in memory and bounded by what servers can hold; the
/// rest is read so that configurations of the reference load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockIndex {
    /// In memory, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_memory_config: Option<InMemoryIndex>,
    /// In Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_config: Option<RedisIndex>,
    /// In memory, by bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_aware_memory_config: Option<CostAwareIndex>,
    /// Show metrics of the index; ours are always there.
    pub enable_metrics: bool,
    /// Nanoseconds between two log lines about the index.
    pub metrics_logging_interval: i64,
}

/// In memory, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InMemoryIndex {
    /// Blocks.
    pub size: i64,
    /// Servers per block.
    pub pod_cache_size: i64,
}

/// In Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisIndex {
    /// Its address.
    pub address: String,
}

/// In memory, by bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CostAwareIndex {
    /// Bytes, such as `2GiB`.
    pub size: Value,
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KvEvents {
    /// Listen here for engines that connect, such as `tcp://0.0.0.0:5557`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zmq_endpoint: String,
    /// Only topics that begin so.
    pub topic_filter: String,
    /// Workers that apply events, above 0.
    pub concurrency: i64,
    /// `vllm` or `sglang`.
    pub engine_type: String,
    /// Connect to every endpoint.
    pub discover_pods: bool,
    /// How to connect to endpoints.
    pub pod_discovery_config: PodDiscovery,
}

impl Default for KvEvents {
    fn default() -> Self {
        Self {
            zmq_endpoint: String::new(),
            topic_filter: "kv@".to_owned(),
            concurrency: 4,
            engine_type: "vllm".to_owned(),
            discover_pods: true,
            pod_discovery_config: PodDiscovery::default(),
        }
    }
}

/// How to connect to endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodDiscovery {
    /// Accepted for compatibility: the pool says which pods there are.
    pub pod_label_selector: String,
    /// Accepted for compatibility: the pool says which pods there are.
    pub pod_namespace: String,
    /// Port of the events; each data-parallel rank adds its index.
    pub socket_port: i64,
    /// Port at which lost events are asked for; 0 = nowhere. Each rank adds its index.
    pub replay_socket_port: i64,
}

impl Default for PodDiscovery {
    fn default() -> Self {
        Self {
            pod_label_selector: "llm-d.ai/inference-serving=true".to_owned(),
            pod_namespace: String::new(),
            socket_port: 5557,
            replay_socket_port: 0,
        }
    }
}

impl PrecisePrefix {
    fn check(&self, is_scorer: bool, build: &mut Build<'_>) {
        let block = self.token_processor_config.block_tokens();
        let path = "tokenProcessorConfig.blockSizeTokens";
        build.require(block > 0, path, block, "> 0");
        let hash = self.token_processor_config.hash_algorithm.as_str();
        let path = "tokenProcessorConfig.hashAlgorithm";
        let known = matches!(hash, "" | "cbor-fnv" | "xxh64");
        build.require(known, path, hash, "cbor-fnv or xxh64");
        let engine = self.kv_events_config.engine_type.as_str();
        let known = matches!(engine, "" | "vllm" | "sglang");
        build.require(known, "kvEventsConfig.engineType", engine, "vllm or sglang");
        let port = self.kv_events_config.pod_discovery_config.socket_port;
        let path = "kvEventsConfig.podDiscoveryConfig.socketPort";
        build.require((1..=65_535).contains(&port), path, port, "in 1..65535");
        let index = &self.indexer_config.kv_block_index_config;
        if index.redis_config.is_some() {
            let path = "indexerConfig.kvBlockIndexConfig.redisConfig";
            build.warn(path, "has no effect: the index is kept in memory");
        }
        if !is_scorer && !self.indexer_config.tokenizers_pool_config.is_null() {
            let message = "is not taken here; tokens come from token-producer";
            build.fault("indexerConfig.tokenizersPoolConfig", message);
        }
        let tiers = self.indexer_config.kv_cache_backend_configs.iter();
        for (at, tier) in tiers.enumerate() {
            let path = format!("indexerConfig.kvCacheBackendConfigs[{at}].weight");
            let fits = tier.weight.is_finite();
            build.require(fits, &path, tier.weight, "a finite number");
        }
    }
}

impl PluginType for PrecisePrefix {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let is_scorer = build.kind() == "precise-prefix-cache-scorer";
        if is_scorer {
            let producers = build.names_of("precise-prefix-cache-producer");
            match producers.as_slice() {
                [] => {}
                [name] => {
                    let source = build.prefix_source(name);
                    return prefix_match(source).needing(Data::PrefixMatch, name);
                }
                more => {
                    let message = format!(
                        "finds {} plugins of type precise-prefix-cache-producer, want one",
                        more.len()
                    );
                    build.fault("", message);
                }
            }
        }
        self.check(is_scorer, build);
        let own = build.name().to_owned();
        let mut instance = if is_scorer {
            let source = build.prefix_source(&own);
            prefix_match(source)
        } else {
            Instance::default()
        };
        instance.setting = Some(Setting::PrecisePrefix(Arc::new(self)));
        instance
            .needing(Data::Tokens, "")
            .providing(Data::PrefixMatch)
    }
}
