//! From flags to what the rooms take.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use collect::ScrapeOptions;
use extproc::{Certificate, PickerOptions, Policy, Reloader};
use gateway::UpstreamTrust;
use lifecycle::{ErrorStyle, ReferenceDialect, Settings};
use observe::NameSet;
use payload::Parsers;
use resources::{ObjectName, Serves, Source};
use scheduling::BuildOptions;
use tokio_util::sync::CancellationToken;

use super::options::{EppOptions, ErrorFormat, Names};
use crate::picking::{PickerFile, Picking};

/// Shortest pause between two readings, as in the reference.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// What the manifests are read for.
pub(super) fn build_options(options: &EppOptions) -> Result<resources::Options, Box<dyn Error>> {
    let namespace = &options.pool_namespace;
    let mut made_up = Vec::new();
    let serves = if !options.endpoint_selector.is_empty() {
        let name = selector_pool_name(&options.pod_name);
        made_up.push(selector_pool(options, &name)?);
        Serves::Pool(Some(ObjectName::new(&**namespace, name)))
    } else if !options.pool_name.is_empty() && !options.files.is_empty() {
        Serves::Pool(Some(ObjectName::new(&**namespace, &*options.pool_name)))
    } else {
        Serves::Pool(None)
    };
    Ok(resources::Options {
        endpoints: options.endpoints.clone(),
        serves,
        made_up,
        ..resources::Options::default()
    })
}

/// The name of the Deployment that the pod belongs to, as llm-d's router derives it: `NAME-hash-hash`.
fn selector_pool_name(pod: &str) -> String {
    let mut parts = pod.rsplitn(3, '-');
    let hashes = [parts.next(), parts.next()];
    let is_hash = |part: &Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
        })
    };
    match parts.next() {
        Some(deployment) if !deployment.is_empty() && hashes.iter().all(is_hash) => {
            deployment.to_owned()
        }
        _ => "epp".to_owned(),
    }
}

/// The InferencePool that `--endpoint-selector` stands for.
fn selector_pool(options: &EppOptions, name: &str) -> Result<Source, Box<dyn Error>> {
    let mut labels = serde_json::Map::new();
    for pair in options.endpoint_selector.split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            format!("--endpoint-selector: \"{pair}\" is not KEY=VALUE; write for example app=vllm,tier=gpu")
        })?;
        labels.insert(key.trim().to_owned(), value.trim().into());
    }
    let mut ports = options.endpoint_target_ports.clone();
    ports.dedup();
    let ports: Vec<_> = ports
        .iter()
        .map(|port| serde_json::json!({ "number": port }))
        .collect();
    let pool = serde_json::json!({
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": options.pool_namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "targetPorts": ports,
            "endpointPickerRef": {"name": name, "port": {"number": options.ports.grpc_port.max(1)}},
        },
    });
    Ok(Source {
        path: "--endpoint-selector".into(),
        text: pool.to_string(),
    })
}

fn dialect(options: &EppOptions) -> ReferenceDialect {
    match options.picking.metric_names.first() {
        Some(Names::Gie) => ReferenceDialect::Gie,
        _ => ReferenceDialect::LlmD,
    }
}

/// The reference's names that are served.
pub(super) fn names(options: &EppOptions) -> Vec<NameSet> {
    let mut sets = Vec::new();
    for names in &options.picking.metric_names {
        let set = match names {
            Names::Plimsoll => continue,
            Names::Gie => NameSet::Gie,
            Names::LlmD => NameSet::LlmD,
        };
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    // llm-d's set holds the older names too, and a name may stand on a page only once.
    if sets.contains(&NameSet::LlmD) {
        sets.retain(|set| *set == NameSet::LlmD);
    }
    sets
}

/// Whether our own names are served.
pub(super) fn native_names(options: &EppOptions) -> bool {
    options.picking.metric_names.contains(&Names::Plimsoll)
}

/// Limits, parsers and the wording of errors.
pub(super) fn settings(options: &EppOptions) -> Settings {
    let picking = &options.picking;
    Settings {
        body_bytes_max: picking.body_limit,
        body_budget_bytes: picking.body_budget,
        requests_max: picking.max_requests,
        all_scores: picking.emit_endpoint_scores,
        decisions_max: picking.decisions,
        parsers: Some(Parsers::default()),
        errors: match picking.error_format {
            ErrorFormat::Reference => ErrorStyle::Reference(dialect(options)),
            ErrorFormat::Api => ErrorStyle::Api,
        },
        model_header: Some(http::HeaderName::from_static("x-gateway-model-name")),
        ..Settings::default()
    }
}

/// Choices of the picker.
pub(super) fn picker(options: &EppOptions) -> PickerOptions {
    let picking = &options.picking;
    PickerOptions {
        fallbacks: usize::from(picking.fallbacks),
        follow_picker: picking.config_file.is_some() || picking.config_text.is_some(),
        emit_scores: picking.emit_endpoint_scores,
        ignore_subset: picking.disable_endpoint_subset_filter,
        spare_bodies: picking.spare_response_bodies,
        body_timeout: Duration::from_secs(picking.body_timeout),
        ..PickerOptions::default()
    }
}

/// How model servers are read.
pub(super) fn scrape(options: &EppOptions) -> ScrapeOptions {
    let scraping = &options.scraping;
    ScrapeOptions {
        period: scraping.refresh_metrics_interval.0.max(SHORTEST_PAUSE),
        path: scraping.model_server_metrics_path.clone(),
        port: Some(scraping.model_server_metrics_port).filter(|port| *port > 0),
        ..ScrapeOptions::default()
    }
}

/// Whom to trust behind `https` endpoints.
pub(super) fn trust(options: &EppOptions) -> UpstreamTrust {
    if options
        .scraping
        .model_server_metrics_https_insecure_skip_verify
    {
        UpstreamTrust::Anyone
    } else {
        UpstreamTrust::System
    }
}

/// How endpoints are picked, and the file that says so if there is one.
pub(super) fn picking(
    options: &EppOptions,
) -> Result<(Picking, Option<PickerFile>), Box<dyn Error>> {
    let picking = &options.picking;
    let build = BuildOptions {
        allow_experimental: picking.allow_experimental_plugins,
        ..BuildOptions::default()
    };
    match (&picking.config_file, &picking.config_text) {
        (Some(path), _) => {
            let file = PickerFile::open(path, build)?;
            Ok((file.read()?, Some(file)))
        }
        (None, Some(text)) => Ok((Picking::read("--config-text", text, build)?, None)),
        (None, None) => Ok((Picking::Standard, None)),
    }
}

/// The TLS flags of a gRPC port.
#[derive(Clone, Copy)]
pub(crate) struct Tls<'f> {
    pub(crate) secure: bool,
    pub(crate) directory: &'f str,
    pub(crate) reload: bool,
    pub(crate) version_min: &'f str,
    pub(crate) suites: &'f [String],
}

/// The certificate to serve, kept up to date where that is asked for; `None` for clear text.
pub(crate) fn tls(
    flags: Tls<'_>,
    stop: &CancellationToken,
) -> Result<Option<Arc<ArcSwap<Certificate>>>, Box<dyn Error>> {
    if !flags.secure {
        return Ok(None);
    }
    let policy = Policy::from_go_names(flags.version_min, flags.suites)?;
    if flags.directory.is_empty() {
        let certificate = Certificate::self_signed(&policy)?;
        return Ok(Some(Arc::new(ArcSwap::from_pointee(certificate))));
    }
    let directory = PathBuf::from(flags.directory);
    let certificate = Certificate::from_directory(&directory, &policy)
        .map_err(|error| format!("--cert-path: {error}"))?;
    let current = Arc::new(ArcSwap::from_pointee(certificate));
    if flags.reload {
        let reloader = Arc::new(Reloader::new(directory, policy, current.clone()));
        tokio::spawn(reloader.run(stop.clone()));
    }
    Ok(Some(current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_made_from_a_selector_is_named_after_the_deployment() {
        for (pod, name) in [
            ("my-epp-7d9f8b6c5-x2x4z", "my-epp"),
            ("epp-0", "epp"),
            ("", "epp"),
            ("a-B-c", "epp"),
        ] {
            assert_eq!(selector_pool_name(pod), name, "{pod}");
        }
    }
}
