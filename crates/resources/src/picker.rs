//! `EndpointPickerConfig`: how an endpoint picker is put together from plugins.
//!
//! This room reads the text and checks what can be checked without knowing any plugin: shape,
//! names, feature gates, quantities and durations. Which plugin types exist, what parameters they
//! take and what is added by default is for the `scheduling` room.
//!
//! The format is that of llm-d (`llm-d.ai/v1alpha1`); the same in the group of the Inference
//! Extension (`inference.networking.x-k8s.io/v1alpha1`) is read too, in both dialects of field
//! names. Deprecated fields are folded into the ones that replaced them.

mod flow;
mod gates;
mod read;
mod schema;
mod unit;

pub use flow::{Band, BandLimits, FlowControl, FlowLimits};
pub use gates::Gates;
pub use unit::{GoDuration, Quantity, QuantityError, parse_go_duration};

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::Place;
use crate::{Problem, Severity};

/// API group and version of llm-d.
pub(crate) const LLMD_VERSION: &str = "llm-d.ai/v1alpha1";
/// API group and version of the Inference Extension; deprecated by llm-d.
pub(crate) const GIE_VERSION: &str = "inference.networking.x-k8s.io/v1alpha1";
/// The kind of the object.
pub(crate) const PICKER_KIND: &str = "EndpointPickerConfig";

/// Whose rules apply where the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `llm-d.ai`: plugin parameters are strict.
    #[default]
    LlmD,
    /// `inference.networking.x-k8s.io`: unknown plugin parameters are only warned about, as
    /// GIE v1.5 ignores them, and its feature gates are known.
    Gie,
}

impl Dialect {
    /// The `apiVersion` of the dialect.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Dialect::LlmD => LLMD_VERSION,
            Dialect::Gie => GIE_VERSION,
        }
    }
}

/// One plugin instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginConfig {
    /// Name of the instance, by which everything else refers to it; the type when left out.
    pub name: String,
    /// The plugin type, such as `queue-scorer`.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub kind: String,
    /// What the plugin is set to; each type has its own parameters.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
}

/// A reference to a plugin instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginRef {
    /// Name of the instance.
    pub plugin_ref: String,
}

impl PluginRef {
    /// A reference to `name`.
    pub fn to(name: impl Into<String>) -> Self {
        Self {
            plugin_ref: name.into(),
        }
    }
}

/// A plugin in a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfilePlugin {
    /// Name of the instance.
    #[schemars(required)]
    pub plugin_ref: String,
    /// Weight of a scorer, 1 when left out; any finite number. Ignored for other plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// A scheduling profile: filters, then scorers, then a picker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileConfig {
    /// Name, unique among the profiles.
    #[schemars(required)]
    pub name: String,
    /// Its plugins; filters run in this order.
    pub plugins: Vec<ProfilePlugin>,
}

/// A data source and the extractors that read what it brings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceConfig {
    /// Name of a data source plugin.
    #[schemars(required)]
    pub plugin_ref: String,
    /// Names of extractor plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extractors: Vec<PluginRef>,
}

/// Where the state of endpoints comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataLayerConfig {
    /// Add the usual metrics source and extractor when they are not among `sources`. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inject_defaults: Option<bool>,
    /// Sources with their extractors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceConfig>,
    /// Where endpoints are found, instead of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<PluginRef>,
    /// Where other pickers are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_discovery: Option<PluginRef>,
    /// How state is shared with other pickers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_replica_syncer_plugin_ref: Option<String>,
    /// Pause between two exchanges of state, 200 ms when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_replica_sync_interval: Option<GoDuration>,
}

/// How requests are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestHandlerConfig {
    /// Parsers in order of preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parsers: Vec<PluginRef>,
}

/// The configuration of an endpoint picker.
///
/// Serialises to what it means: deprecated fields are gone, folded into their successors.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPickerConfig {
    #[serde(serialize_with = "version")]
    #[serde(rename = "apiVersion")]
    /// Whose rules apply.
    pub dialect: Dialect,
    kind: &'static str,
    /// Feature gates as written, `name` or `name=true|false`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feature_gates: Vec<String>,
    /// The plugins.
    pub plugins: Vec<PluginConfig>,
    /// The profiles.
    pub scheduling_profiles: Vec<ProfileConfig>,
    /// Where the state of endpoints comes from.
    pub data_layer: DataLayerConfig,
    /// Flow control; `None` when the section is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_control: Option<FlowControl>,
    /// How requests are read.
    pub request_handler: RequestHandlerConfig,
    /// The feature gates, resolved.
    #[serde(skip)]
    pub gates: Gates,
    /// The `dataLayer` section was there.
    #[serde(skip)]
    pub has_data_layer: bool,
    #[serde(skip)]
    place: Place,
}

fn version<S: serde::Serializer>(dialect: &Dialect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dialect.api_version())
}

impl Default for EndpointPickerConfig {
    /// No plugins and no profiles.
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            kind: PICKER_KIND,
            feature_gates: Vec::new(),
            plugins: Vec::new(),
            scheduling_profiles: Vec::new(),
            data_layer: DataLayerConfig::default(),
            flow_control: None,
            request_handler: RequestHandlerConfig::default(),
            gates: Gates::default(),
            has_data_layer: false,
            place: Place::nowhere(),
        }
    }
}

impl EndpointPickerConfig {
    /// Reads YAML or JSON text. `origin` names it in problems, usually the file's path.
    ///
    /// The configuration is there whenever the text is such an object at all, as far as it could
    /// be read; it must not be used if one of the problems is an error. Text without content
    /// gives [`EndpointPickerConfig::reference_default`].
    #[must_use]
    pub fn read(origin: &str, text: &str) -> (Option<Self>, Vec<Problem>) {
        read::read(origin, text)
    }

    /// What the reference uses when nothing is configured: queue and KV use with weight 2 each,
    /// the prefix cache with weight 3.
    #[must_use]
    pub fn reference_default() -> Self {
        let scorers = [
            ("queue-scorer", 2.0),
            ("kv-cache-utilization-scorer", 2.0),
            ("prefix-cache-scorer", 3.0),
        ];
        let plugin = |kind: &str| PluginConfig {
            name: kind.to_owned(),
            kind: kind.to_owned(),
            parameters: Value::Null,
        };
        let layer = ["metrics-data-source", "core-metrics-extractor"];
        let kinds = scorers.iter().map(|(kind, _)| *kind).chain(layer);
        let profile = ProfileConfig {
            name: "default".to_owned(),
            plugins: scorers
                .iter()
                .map(|(kind, weight)| ProfilePlugin {
                    plugin_ref: (*kind).to_owned(),
                    weight: Some(*weight),
                })
                .collect(),
        };
        Self {
            plugins: kinds.map(plugin).collect(),
            scheduling_profiles: vec![profile],
            data_layer: DataLayerConfig {
                sources: vec![SourceConfig {
                    plugin_ref: layer[0].to_owned(),
                    extractors: vec![PluginRef::to(layer[1])],
                }],
                ..DataLayerConfig::default()
            },
            has_data_layer: true,
            ..Self::default()
        }
    }

    /// A problem at `path` of this configuration, with the line it stands on.
    #[must_use]
    pub fn problem(&self, severity: Severity, path: &str, message: String) -> Problem {
        Problem {
            source: Arc::clone(&self.place.source),
            line: self.place.node.line_at(path),
            object: None,
            path: path.to_owned(),
            message,
            severity,
        }
    }

    /// The configuration as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap_or_else(|error| format!("# cannot be shown: {error}"))
    }

    /// The JSON schema of the format, with parameters of any shape. `parameters` are the schemas
    /// of plugin parameters by type, with their shared definitions.
    #[must_use]
    pub fn schema(parameters: schema::Parameters) -> Value {
        schema::schema(parameters)
    }
}

pub use schema::Parameters as ParameterSchemas;

#[cfg(test)]
mod tests;
