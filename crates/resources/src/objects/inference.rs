//! Resource types of the Inference Extension and of llm-d. No crate binds them, so they are here.

use crate::AppProtocol;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Group of InferencePool v1.
pub(crate) const POOL_GROUP: &str = "inference.networking.k8s.io";
/// Group of the alpha kinds.
pub(crate) const ALPHA_GROUP: &str = "inference.networking.x-k8s.io";
/// Group to which llm-d moved InferenceObjective and InferenceModelRewrite.
pub(crate) const LLMD_GROUP: &str = "llm-d.ai";

/// `spec` of an InferencePool of either version.
#[derive(Clone, Debug)]
pub(crate) struct PoolSpec {
    /// API group, for references and poolRefs.
    pub(crate) group: &'static str,
    pub(crate) match_labels: BTreeMap<String, String>,
    pub(crate) target_ports: Vec<u16>,
    pub(crate) app_protocol: AppProtocol,
}

/// `spec` of InferencePool `inference.networking.k8s.io/v1`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolV1 {
    selector: Selector,
    target_ports: Vec<PortNumber>,
    #[serde(default)]
    app_protocol: AppProtocolName,
    pub(super) endpoint_picker_ref: Option<PickerRef>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PortNumber {
    number: u16,
}

#[derive(Debug, Default, Deserialize)]
enum AppProtocolName {
    #[default]
    #[serde(rename = "http")]
    Http,
    #[serde(rename = "kubernetes.io/h2c")]
    H2c,
}

/// Points to an endpoint picker. This gateway picks endpoints itself; the reference is checked only.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PickerRef {
    #[serde(rename = "group")]
    _group: Option<String>,
    pub(super) kind: Option<String>,
    #[serde(rename = "name")]
    _name: String,
    pub(super) port: Option<PortNumber>,
    #[serde(rename = "failureMode")]
    _failure_mode: Option<FailureMode>,
}

#[derive(Debug, Deserialize)]
enum FailureMode {
    FailOpen,
    FailClose,
}

/// `spec` of InferencePool `inference.networking.x-k8s.io/v1alpha2`, gone since v1.5.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolAlpha {
    selector: BTreeMap<String, String>,
    target_port_number: u16,
    #[serde(rename = "extensionRef")]
    _extension_ref: AlphaPickerRef,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlphaPickerRef {
    #[serde(rename = "group")]
    _group: Option<String>,
    #[serde(rename = "kind")]
    _kind: Option<String>,
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "portNumber")]
    _port_number: Option<u16>,
    #[serde(rename = "failureMode")]
    _failure_mode: Option<FailureMode>,
}

impl From<PoolV1> for PoolSpec {
    fn from(pool: PoolV1) -> Self {
        Self {
            group: POOL_GROUP,
            match_labels: pool.selector.match_labels,
            target_ports: pool
                .target_ports
                .into_iter()
                .map(|port| port.number)
                .collect(),
            app_protocol: match pool.app_protocol {
                AppProtocolName::Http => AppProtocol::Http1,
                AppProtocolName::H2c => AppProtocol::H2c,
            },
        }
    }
}

impl From<PoolAlpha> for PoolSpec {
    fn from(pool: PoolAlpha) -> Self {
        Self {
            group: ALPHA_GROUP,
            match_labels: pool.selector,
            target_ports: vec![pool.target_port_number],
            app_protocol: AppProtocol::Http1,
        }
    }
}

/// Points to the pool an objective or a rewrite belongs to; always in the same namespace.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PoolRef {
    pub(crate) group: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
}

impl PoolRef {
    /// The group, or the one of InferencePool v1.
    pub(crate) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(POOL_GROUP)
    }

    /// The kind, or InferencePool.
    pub(crate) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("InferencePool")
    }
}

/// `spec` of an InferenceObjective.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectiveSpec {
    pub(crate) pool_ref: PoolRef,
    pub(crate) priority: Option<i32>,
    /// Of the InferenceModel that came before; pickers pass it over, and manifests that still have it are about.
    #[serde(default, rename = "targetModels")]
    pub(crate) _target_models: Option<serde_json::Value>,
}

/// `spec` of an InferenceModelRewrite.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RewriteSpec {
    pub(crate) pool_ref: PoolRef,
    pub(crate) rules: Vec<RewriteRuleSpec>,
}

/// One rule of an InferenceModelRewrite.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RewriteRuleSpec {
    #[serde(default)]
    pub(crate) matches: Vec<RewriteMatchSpec>,
    #[serde(default)]
    pub(crate) targets: Vec<RewriteTargetSpec>,
}

/// One alternative of a rule.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RewriteMatchSpec {
    pub(crate) model: ModelMatchSpec,
}

/// Condition on the model name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ModelMatchSpec {
    #[serde(rename = "type")]
    _kind: Option<ModelMatchKind>,
    pub(crate) value: String,
}

#[derive(Clone, Debug, Deserialize)]
enum ModelMatchKind {
    Exact,
}

/// One target of a rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RewriteTargetSpec {
    pub(crate) model_rewrite: String,
    pub(crate) weight: Option<u32>,
}
