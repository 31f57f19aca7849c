//! The flags of `plimsoll epp`: those of the reference pickers (Inference Extension v1.5.0, llm-d's router) and ours.
//!
//! A flag of theirs is honoured, or accepted with a line in the log ([`EppOptions::deprecated`]), or refused with what to use
//! instead ([`EppOptions::refused`]).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use resources::EndpointSpec;

use super::duration::GoDuration;
use super::quantity::Bytes;
use crate::cli::parse_endpoint;

/// A boolean as Go takes it: `--flag`, `--flag=true`, `--flag=false`.
macro_rules! flag {
    () => {
        "true"
    };
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What to serve")]
pub(crate) struct EppOptions {
    /// A model server: `http://HOST:PORT`, optionally `,name=NAME` and `,labels=KEY=VALUE;KEY=VALUE`. Repeatable.
    #[arg(long = "endpoint", value_name = "URL", value_parser = parse_endpoint)]
    pub(crate) endpoints: Vec<EndpointSpec>,

    /// Manifests (InferencePool, Pods, objectives, rewrites) or an llm-d endpoint file: files or directories, watched for changes. Repeatable.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,

    /// The InferencePool to serve.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "NAME"
    )]
    pub(crate) pool_name: String,

    /// Its namespace.
    #[arg(
        long,
        env = "NAMESPACE",
        default_value = "default",
        value_name = "NAMESPACE"
    )]
    pub(crate) pool_namespace: String,

    /// Its API group.
    #[arg(
        long,
        default_value = "inference.networking.k8s.io",
        value_name = "GROUP"
    )]
    pub(crate) pool_group: String,

    /// Serve the pods with these labels, `KEY=VALUE,KEY=VALUE`, in place of an InferencePool.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "SELECTOR"
    )]
    pub(crate) endpoint_selector: String,

    /// Ports of those pods, one endpoint each.
    #[arg(long, value_delimiter = ',', value_name = "PORT")]
    pub(crate) endpoint_target_ports: Vec<u16>,

    /// Name of this pod; names the pool made from --endpoint-selector.
    #[arg(long, env = "POD_NAME", hide = true, default_value = "")]
    pub(crate) pod_name: String,

    #[command(flatten)]
    pub(crate) picking: PickingOptions,

    #[command(flatten)]
    pub(crate) ports: PortOptions,

    #[command(flatten)]
    pub(crate) scraping: ScrapingOptions,

    #[command(flatten)]
    pub(crate) logging: LoggingOptions,

    #[command(flatten)]
    pub(crate) retired: RetiredOptions,
}

/// How endpoints are picked and answers given.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to pick")]
pub(crate) struct PickingOptions {
    /// An EndpointPickerConfig. Without one the default profile picks, which needs no tuning.
    #[arg(long, value_name = "FILE", conflicts_with = "config_text")]
    pub(crate) config_file: Option<PathBuf>,

    /// The same as text.
    #[arg(long, value_name = "YAML")]
    pub(crate) config_text: Option<String>,

    /// Load plugins whose stability is alpha.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) allow_experimental_plugins: bool,

    /// Take no notice of the subset of endpoints the proxy allows.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) disable_endpoint_subset_filter: bool,

    /// Tell the proxy the candidates' scores, in dynamic metadata.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) emit_endpoint_scores: bool,

    /// Endpoints named per request, best first, for proxies that retry on the next. More than 1 needs a cluster with the
    /// override_host policy; ORIGINAL_DST takes one address only.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) fallbacks: u8,

    /// How errors are worded: as the reference pickers do (plain text), or in the shape of the client's API, so that its
    /// SDK shows the message.
    #[arg(long, value_enum, default_value = "reference")]
    pub(crate) error_format: ErrorFormat,

    /// Whose names the metrics have, and whose headers error answers. Repeatable; the first decides the headers.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["llm-d", "plimsoll"])]
    pub(crate) metric_names: Vec<Names>,

    /// Ask the proxy not to show the bodies of answers that tell the picker nothing (needs allow_mode_override there).
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = true, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) spare_response_bodies: bool,

    /// Largest request body, in bytes.
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    pub(crate) body_limit: u64,

    /// Request bodies held in memory at once, in bytes.
    #[arg(long, default_value_t = 1 << 30, value_name = "BYTES")]
    pub(crate) body_budget: u64,

    /// Seconds a request body may pause.
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) body_timeout: u64,

    /// Concurrent requests; one more is answered 429.
    #[arg(long, default_value_t = 65_536, value_name = "N")]
    pub(crate) max_requests: u64,

    /// Decisions kept for /debug/decisions.
    #[arg(long, default_value_t = 1_024, value_name = "N")]
    pub(crate) decisions: usize,
}

/// Ports, TLS and shutting down.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ports")]
pub(crate) struct PortOptions {
    /// Address all ports are bound on.
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDR")]
    pub(crate) listen_address: IpAddr,

    /// Port of external processing. Port 0 takes a free one.
    #[arg(long, default_value_t = 9002, value_name = "PORT")]
    pub(crate) grpc_port: u16,

    /// Port of gRPC health, always in clear text.
    #[arg(long, default_value_t = 9003, value_name = "PORT")]
    pub(crate) grpc_health_port: u16,

    /// Port of /metrics, health over HTTP and decisions.
    #[arg(long, default_value_t = 9090, value_name = "PORT")]
    pub(crate) metrics_port: u16,

    /// Serve gRPC health on the external-processing port too.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) health_checking: bool,

    /// Serve TLS; with a certificate made on the spot unless --cert-path names one.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = true, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) secure_serving: bool,

    /// Directory with tls.crt and tls.key.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "DIR"
    )]
    pub(crate) cert_path: String,

    /// Read the certificate again when its files change.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) enable_cert_reload: bool,

    /// Lowest TLS version: VersionTLS12 or VersionTLS13.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "VERSION"
    )]
    pub(crate) tls_min_version: String,

    /// TLS cipher suites, by the names Go gives them.
    #[arg(long, value_delimiter = ',', value_name = "SUITE")]
    pub(crate) tls_cipher_suites: Vec<String>,

    /// Largest gRPC message taken, such as 4Mi. 0 or nothing: the body limit and some more.
    #[arg(long, default_value = "0", value_name = "BYTES")]
    pub(crate) grpc_max_recv_msg_size: Bytes,

    /// Largest gRPC message sent. 0 or nothing: no limit.
    #[arg(long, default_value = "0", value_name = "BYTES")]
    pub(crate) grpc_max_send_msg_size: Bytes,

    /// Streams a proxy may have open on one connection.
    #[arg(long, default_value_t = 65_536, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_streams: u32,

    /// How long open streams may take to finish after SIGTERM, such as 30s.
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub(crate) drain_timeout: GoDuration,

    /// Threads that serve connections; one per core if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
}

/// Reading the model servers' metrics.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model servers")]
pub(crate) struct ScrapingOptions {
    /// Pause between two readings of a model server's metrics; less than 50ms counts as 50ms.
    #[arg(long, default_value = "50ms", value_name = "DURATION")]
    pub(crate) refresh_metrics_interval: GoDuration,

    /// Pause between two updates of the pool's gauges. Ours are read when they are asked for.
    #[arg(long, default_value = "5s", value_name = "DURATION", hide = true)]
    pub(crate) refresh_prometheus_metrics_interval: GoDuration,

    /// Age at which a reading no longer counts an endpoint as ready.
    #[arg(long, default_value = "2s", value_name = "DURATION")]
    pub(crate) metrics_staleness_threshold: GoDuration,

    /// Path of the model servers' metrics.
    #[arg(long, default_value = "/metrics", value_name = "PATH")]
    pub(crate) model_server_metrics_path: http::Uri,

    /// Port of the model servers' metrics; 0 for the port they serve on.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) model_server_metrics_port: u16,

    /// Scheme of the model servers' metrics.
    #[arg(long, default_value = "http", value_name = "SCHEME", hide = true)]
    pub(crate) model_server_metrics_scheme: String,

    /// Trust any certificate behind https endpoints.
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = true, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) model_server_metrics_https_insecure_skip_verify: bool,
}

/// How much is logged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LoggingOptions {
    /// Verbosity as in Kubernetes: 0 and 1 warn, 2 info, 3 and 4 debug, 5 and more trace. --log goes before it.
    #[arg(
        short = 'v',
        long = "v",
        default_value_t = 2,
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub(crate) verbosity: i32,

    #[arg(long, default_value = "", hide = true)]
    pub(crate) zap_log_level: String,

    #[arg(long, default_value = "", hide = true)]
    pub(crate) zap_encoder: String,

    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), default_value_t = true, require_equals = true, action = clap::ArgAction::Set, hide = true)]
    pub(crate) zap_devel: bool,

    #[arg(long, default_value = "", hide = true)]
    pub(crate) zap_stacktrace_level: String,

    #[arg(long, default_value = "", hide = true)]
    pub(crate) zap_time_encoding: String,

    /// Log one line per request.
    #[arg(long)]
    pub(crate) access_log: bool,
}

impl LoggingOptions {
    /// The level for the verbosity, or for zap's level where that is given.
    pub(crate) fn level(&self) -> &'static str {
        match (self.zap_log_level.as_str(), self.verbosity) {
            ("error" | "panic", _) => "error",
            ("info", _) => "info",
            ("debug", _) => DEBUG,
            (_, 0..=1) => "warn",
            // Negative counts as the default.
            (_, i32::MIN..=2) => "info",
            (_, 3..=4) => DEBUG,
            (_, _) => "trace,h2=info,hyper=info,hyper_util=info",
        }
    }
}

/// Flags of the reference pickers that have no effect here, or are refused.
#[derive(Debug, Args)]
pub(crate) struct RetiredOptions {
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), require_equals = true, hide = true)]
    pub(crate) ha_enable_leader_election: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), require_equals = true, hide = true)]
    pub(crate) tracing: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), require_equals = true, hide = true)]
    pub(crate) enable_pprof: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), require_equals = true, hide = true)]
    pub(crate) metrics_endpoint_auth: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = flag!(), require_equals = true, hide = true)]
    pub(crate) enable_grpc_stream_metrics: Option<bool>,
    #[arg(long, hide = true)]
    pub(crate) metrics_client_ca_file: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) metrics_cert_dir: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) total_queued_requests_metric: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) total_running_requests_metric: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) kv_cache_usage_percentage_metric: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) lora_info_metric: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) cache_info_metric: Option<String>,
}

/// Our own modules in detail, without every HTTP/2 frame.
const DEBUG: &str = "debug,h2=info,hyper=info,hyper_util=info";

/// How errors are worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorFormat {
    /// `inference error: CODE - MESSAGE`, as the reference pickers answer.
    Reference,
    /// The error object of the API the client speaks.
    Api,
}

/// Whose metric names are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Names {
    /// Ours (docs/metrics.md).
    Plimsoll,
    /// Those of the Inference Extension's picker v1.5.0.
    #[value(name = "gie-v1.5", alias = "gie")]
    Gie,
    /// Those of llm-d's router, its deprecated ones among them.
    #[value(name = "llm-d")]
    LlmD,
}

impl EppOptions {
    /// Lines to log about flags that have no effect, and a line for each that asks for something else.
    pub(crate) fn deprecated(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut note = |given: bool, flag: &str, what: &str| {
            if given {
                lines.push(format!("--{flag} is accepted and has no effect: {what}"));
            }
        };
        let retired = &self.retired;
        note(
            retired.tracing == Some(true),
            "tracing",
            "spans are not exported; trace ids stand in decisions and in the access log",
        );
        note(
            retired.enable_pprof == Some(true),
            "enable-pprof",
            "it is for Go's profiler; use perf on this process",
        );
        note(
            retired.metrics_endpoint_auth == Some(true),
            "metrics-endpoint-auth",
            "there is no API server to ask; keep the metrics port away from clients",
        );
        note(
            retired.enable_grpc_stream_metrics.is_some(),
            "enable-grpc-stream-metrics",
            "streams are counted as requests in the house (docs/metrics.md)",
        );
        note(
            self.scraping.model_server_metrics_scheme == "https",
            "model-server-metrics-scheme",
            "give https:// endpoints; metrics are read the way requests are sent",
        );
        let zap = &self.logging;
        let encoded = !zap.zap_encoder.is_empty()
            || !zap.zap_stacktrace_level.is_empty()
            || !zap.zap_time_encoding.is_empty()
            || !zap.zap_devel;
        note(encoded, "zap-*", "use --log-format json|text");
        let threshold = self.scraping.metrics_staleness_threshold.0;
        note(
            threshold != signals::STALE_AFTER && threshold != Duration::from_secs(2),
            "metrics-staleness-threshold",
            "each signal carries its age, and the scheduler's own limit holds",
        );
        lines
    }

    /// What asks for something that is not done here, with what to use instead.
    pub(crate) fn refused(&self) -> Option<String> {
        let retired = &self.retired;
        let metric = [
            (
                "total-queued-requests-metric",
                &retired.total_queued_requests_metric,
            ),
            (
                "total-running-requests-metric",
                &retired.total_running_requests_metric,
            ),
            (
                "kv-cache-usage-percentage-metric",
                &retired.kv_cache_usage_percentage_metric,
            ),
            ("lora-info-metric", &retired.lora_info_metric),
            ("cache-info-metric", &retired.cache_info_metric),
        ];
        if let Some((name, _)) = metric.iter().find(|(_, value)| value.is_some()) {
            return Some(format!(
                "--{name} is no longer taken: engines are recognised from their metrics; other names go into \
                 engineConfigs of the core-metrics-extractor plugin in --config-file"
            ));
        }
        if retired.ha_enable_leader_election == Some(true) {
            return Some(
                "--ha-enable-leader-election needs a Kubernetes API server, which this source of endpoints has not; \
                 every replica serves, so leave the flag out"
                    .to_owned(),
            );
        }
        if retired.metrics_client_ca_file.is_some() || retired.metrics_cert_dir.is_some() {
            return Some(
                "--metrics-cert-dir and --metrics-client-ca-file: the metrics port is plain HTTP; put it behind a \
                 proxy that does TLS, or bind it with --listen-address where only operators reach it"
                    .to_owned(),
            );
        }
        let (pool, selector) = (&self.pool_name, &self.endpoint_selector);
        if !pool.is_empty() && !selector.is_empty() {
            return Some(
                "either pool-name or endpoint-selector must be set, and not both".to_owned(),
            );
        }
        if !selector.is_empty() && self.endpoint_target_ports.is_empty() {
            return Some(
                "--endpoint-selector needs --endpoint-target-ports, for example 8000".to_owned(),
            );
        }
        if self.endpoints.is_empty() && self.files.is_empty() {
            return Some(
                "nothing to serve: give model servers with --endpoint http://HOST:PORT, or manifests of the pool and \
                 its pods with -f PATH; endpoints are not read from a Kubernetes API server yet"
                    .to_owned(),
            );
        }
        None
    }
}

#[cfg(test)]
mod tests;
