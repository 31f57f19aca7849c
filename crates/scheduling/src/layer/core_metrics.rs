//! `core-metrics-extractor`: the usual gauges of model servers, by the names each engine gives them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::settings::{Extractor, Setting};

pub(super) const KIND: Kind = Kind::new::<CoreMetrics>("core-metrics-extractor", Roles::EXTRACTOR);

/// Engines whose metric names are known.
const ENGINES: [&str; 6] = [
    "vllm",
    "sglang",
    "trtllm-serve",
    "triton-tensorrt-llm",
    "triton",
    "llama.cpp",
];

/// Which engine a server runs, and what its metrics are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CoreMetrics {
    /// Label of the pod that names its engine; `inference.networking.k8s.io/engine-type` is
    /// looked at when it has none.
    pub engine_label_key: String,
    /// The engine of pods without such a label, or with one that names none we know.
    pub default_engine: String,
    /// Engines of your own, or other names for those known.
    pub engine_configs: Vec<EngineConfig>,
}

/// The metrics of one engine, as `name` or `name{label=value}`; empty = it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EngineConfig {
    /// Name of the engine; one of the known names replaces all of its metrics.
    #[schemars(required)]
    pub name: String,
    /// Requests waiting.
    pub queued_requests_spec: String,
    /// Requests running.
    pub running_requests_spec: String,
    /// Share of KV space in use.
    #[serde(rename = "kvUsageSpec")]
    pub kv_usage_spec: String,
    /// Adapters, in vLLM's format.
    pub lora_spec: String,
    /// A series whose labels tell block size and number of blocks.
    pub cache_info_spec: String,
    /// Label of the block size in it.
    pub cache_block_size_label_name: String,
    /// Label of the number of blocks in it.
    pub cache_num_blocks_label_name: String,
    /// A series whose value is the block size.
    pub cache_block_size_spec: String,
    /// A series whose value is the number of blocks.
    pub cache_num_blocks_spec: String,
    /// Scalars for the attribute filter and scorer.
    pub custom_metrics: Vec<CustomMetric>,
}

/// A scalar of the user's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomMetric {
    /// What plugins call it.
    #[schemars(required)]
    pub attribute_key: String,
    /// The metric, as `name` or `name{label=value}`.
    #[schemars(required)]
    pub metric_spec: String,
}

impl Default for CoreMetrics {
    fn default() -> Self {
        Self {
            engine_label_key: "llm-d.ai/engine-type".to_owned(),
            default_engine: "vllm".to_owned(),
            engine_configs: Vec::new(),
        }
    }
}

impl CoreMetrics {
    /// All scalars of the user's choice.
    pub fn scalars(&self) -> impl Iterator<Item = &CustomMetric> {
        let engines = self.engine_configs.iter();
        engines.flat_map(|engine| &engine.custom_metrics)
    }
}

impl EngineConfig {
    fn specs(&self) -> [(&'static str, &str); 7] {
        [
            ("queuedRequestsSpec", &self.queued_requests_spec),
            ("runningRequestsSpec", &self.running_requests_spec),
            ("kvUsageSpec", &self.kv_usage_spec),
            ("loraSpec", &self.lora_spec),
            ("cacheInfoSpec", &self.cache_info_spec),
            ("cacheBlockSizeSpec", &self.cache_block_size_spec),
            ("cacheNumBlocksSpec", &self.cache_num_blocks_spec),
        ]
    }
}

impl PluginType for CoreMetrics {
    fn build(self, build: &mut Build<'_>) -> Instance {
        for (index, engine) in self.engine_configs.iter().enumerate() {
            let path = format!("engineConfigs[{index}]");
            let name = engine.name.as_str();
            if name.is_empty() || name == "default" {
                let message = format!("'{name}' cannot name an engine");
                build.fault(&format!("{path}.name"), message);
            }
            let earlier = &self.engine_configs[..index];
            if earlier.iter().any(|other| other.name == name) {
                let message = format!("duplicate engine '{name}', want each once");
                build.fault(&format!("{path}.name"), message);
            }
            for (field, spec) in engine.specs() {
                if let Err(error) = check_spec(spec) {
                    build.fault(&format!("{path}.{field}"), error);
                }
            }
            for (at, custom) in engine.custom_metrics.iter().enumerate() {
                let path = format!("{path}.customMetrics[{at}]");
                if custom.attribute_key.is_empty() {
                    let message = "attributeKey is required";
                    build.fault(&format!("{path}.attributeKey"), message);
                }
                let empty = custom.metric_spec.trim().is_empty();
                let message = check_spec(&custom.metric_spec).err();
                if let Some(message) = message.or(empty.then(|| "metricSpec is required".into())) {
                    build.fault(&format!("{path}.metricSpec"), message);
                }
            }
        }
        let own = self
            .engine_configs
            .iter()
            .map(|engine| engine.name.as_str());
        let is_known = ENGINES
            .into_iter()
            .chain(own)
            .any(|name| name == self.default_engine);
        if !is_known {
            let known = ENGINES.join(", ");
            let message = format!(
                "'{}' is not an engine; known are {known} and those of engineConfigs",
                self.default_engine
            );
            build.fault("defaultEngine", message);
        }
        let mut instance =
            Instance::setting(Setting::Extractor(Extractor::CoreMetrics(Arc::new(self))));
        // Always under the name of the type, whatever the instance is called.
        instance.provides = vec![(Data::CoreMetrics, Some(Data::CoreMetrics.usual_producer()))];
        instance
    }
}

/// Checks that a text is empty, a metric name, or one with labels.
fn check_spec(spec: &str) -> Result<(), String> {
    let parsed = signals::MetricSpec::parse(spec);
    parsed.map(drop).map_err(|error| error.to_string())
}
