//! Data sources and endpoint discovery.

use resources::GoDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::parameterless;
use crate::settings::{Discovery, Setting, Source};

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<MetricsSource>("metrics-data-source", Roles::SOURCE),
    Kind::new::<MetricsSource>("multicluster-metrics-data-source", Roles::SOURCE).alpha(),
    Kind::new::<ModelsSource>("models-data-source", Roles::SOURCE),
    Kind::new::<DcgmSource>("dcgm-data-source", Roles::SOURCE).alpha(),
    Kind::new::<Notifications>("k8s-notification-source", Roles::SOURCE),
    Kind::new::<Plain>("endpoint-notification-source", Roles::SOURCE).lenient(),
    Kind::new::<FileDiscovery>("file-discovery", Roles::DISCOVERY),
    Kind::new::<FileDiscovery>("multicluster-file-discovery", Roles::DISCOVERY).alpha(),
    Kind::new::<Plain>("mock-metrics-source", Roles::SOURCE).lenient(),
];

parameterless!(Plain);

impl PluginType for Plain {
    fn build(self, build: &mut Build<'_>) -> Instance {
        Instance::setting(Setting::Source(match build.kind() {
            "endpoint-notification-source" => Source::Endpoints,
            _ => Source::Nothing,
        }))
    }
}

/// How a source is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceScheme {
    /// In clear text.
    #[default]
    Http,
    /// With TLS.
    Https,
}

fn check_interval(interval: &str, build: &mut Build<'_>) {
    let fits = interval.is_empty()
        || resources::parse_go_duration(interval).is_some_and(|interval| interval.nanos > 0);
    build.require(
        fits,
        "interval",
        interval,
        "a duration above 0s, such as 200ms",
    );
}

fn interval(text: &str) -> Option<GoDuration> {
    resources::parse_go_duration(text)
}

/// `metrics-data-source`: Prometheus text of each model server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsSource {
    /// How to ask; for other clusters https unless said otherwise.
    pub scheme: Option<SourceScheme>,
    /// Path of the metrics.
    pub path: String,
    /// Port of the metrics, if it is not the one the server serves on.
    pub port: Option<u16>,
    /// Believe any certificate; for other clusters no, else yes unless said otherwise.
    pub insecure_skip_verify: Option<bool>,
    /// Trust certificates signed by those in this PEM file.
    pub ca_cert_path: String,
    /// Certificate to show, a PEM file.
    pub client_cert_path: String,
    /// Its key, a PEM file.
    pub client_key_path: String,
    /// Pause between two readings; that of the process when empty.
    pub interval: String,
}

impl Default for MetricsSource {
    fn default() -> Self {
        Self {
            scheme: None,
            path: "/metrics".to_owned(),
            port: None,
            insecure_skip_verify: None,
            ca_cert_path: String::new(),
            client_cert_path: String::new(),
            client_key_path: String::new(),
            interval: String::new(),
        }
    }
}

impl MetricsSource {
    /// Pause between two readings, if it has one of its own.
    #[must_use]
    pub fn interval(&self) -> Option<std::time::Duration> {
        interval(&self.interval).map(GoDuration::get)
    }
}

impl PluginType for MetricsSource {
    fn build(mut self, build: &mut Build<'_>) -> Instance {
        check_interval(&self.interval, build);
        build.require(self.port != Some(0), "port", 0, "in 1..65535");
        let elsewhere = build.kind() == "multicluster-metrics-data-source";
        let usual = if elsewhere {
            SourceScheme::Https
        } else {
            SourceScheme::Http
        };
        self.scheme.get_or_insert(usual);
        self.insecure_skip_verify.get_or_insert(!elsewhere);
        Instance::setting(Setting::Source(if elsewhere {
            Source::MulticlusterMetrics(self)
        } else {
            Source::Metrics(self)
        }))
    }
}

/// `models-data-source`: the models each server lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelsSource {
    /// How to ask.
    pub scheme: SourceScheme,
    /// Path of the list.
    pub path: String,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// Trust certificates signed by those in this PEM file.
    pub ca_cert_path: String,
    /// Certificate to show, a PEM file.
    pub client_cert_path: String,
    /// Its key, a PEM file.
    pub client_key_path: String,
    /// Pause between two readings; that of the process when empty.
    pub interval: String,
}

impl Default for ModelsSource {
    fn default() -> Self {
        Self {
            scheme: SourceScheme::Http,
            path: "/v1/models".to_owned(),
            insecure_skip_verify: true,
            ca_cert_path: String::new(),
            client_cert_path: String::new(),
            client_key_path: String::new(),
            interval: String::new(),
        }
    }
}

impl PluginType for ModelsSource {
    fn build(self, build: &mut Build<'_>) -> Instance {
        check_interval(&self.interval, build);
        Instance::setting(Setting::Source(Source::Models(self)))
    }
}

/// `dcgm-data-source`: metrics of the GPUs under each server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DcgmSource {
    /// How to ask.
    pub scheme: SourceScheme,
    /// Path of the metrics.
    pub path: String,
    /// Port of the exporter.
    pub port: u16,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// Ask the node instead of the pod.
    pub use_node_address: bool,
    /// Pause between two readings; that of the process when empty.
    pub interval: String,
}

impl Default for DcgmSource {
    fn default() -> Self {
        Self {
            scheme: SourceScheme::Http,
            path: "/metrics".to_owned(),
            port: 9400,
            insecure_skip_verify: true,
            use_node_address: false,
            interval: String::new(),
        }
    }
}

impl PluginType for DcgmSource {
    fn build(self, build: &mut Build<'_>) -> Instance {
        check_interval(&self.interval, build);
        build.require(self.port > 0, "port", self.port, "in 1..65535");
        Instance::setting(Setting::Source(Source::Dcgm(self)))
    }
}

/// `k8s-notification-source`: changes of one kind of Kubernetes object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Notifications {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    #[schemars(required)]
    pub version: String,
    /// Kind of the object.
    #[schemars(required)]
    pub kind: String,
}

impl PluginType for Notifications {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.version.is_empty() {
            build.fault("version", "version is required, such as v1");
        }
        if self.kind.is_empty() {
            build.fault("kind", "kind is required, such as Pod");
        }
        Instance::setting(Setting::Source(Source::Kubernetes(self)))
    }
}

/// `file-discovery`: endpoints from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileDiscovery {
    /// The file.
    #[schemars(required)]
    pub path: String,
    /// Follow its changes.
    pub watch_file: bool,
}

impl PluginType for FileDiscovery {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.path.is_empty() {
            build.fault("path", "path is required, that of a file of endpoints");
        }
        Instance::setting(Setting::Discovery(
            if build.kind() == "multicluster-file-discovery" {
                Discovery::MulticlusterFile(self)
            } else {
                Discovery::File(self)
            },
        ))
    }
}
