use crate::decode::{Fault, decode};
use crate::endpoint::is_host;
use crate::objects::DEFAULT_NAMESPACE;
use crate::report::{Place, Report};
use crate::tree::Node;
use crate::{EndpointSpec, Scheme};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An endpoint that no pod stands for: from llm-d's endpoint file, or from the command line.
#[derive(Clone, Debug)]
pub(crate) struct BareEndpoint {
    /// `None` for one from the command line.
    pub(crate) place: Option<(Place, String)>,
    pub(crate) namespace: Arc<str>,
    pub(crate) spec: EndpointSpec,
}

impl BareEndpoint {
    /// One from the command line; its namespace is the first part of its name.
    pub(crate) fn from_option(spec: EndpointSpec) -> Self {
        let namespace = spec
            .name
            .split_once('/')
            .map_or(DEFAULT_NAMESPACE, |(first, _)| first);
        Self {
            place: None,
            namespace: namespace.into(),
            spec,
        }
    }
}

/// One entry of llm-d's endpoint file.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    namespace: Option<String>,
    address: String,
    port: Port,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// llm-d wants a text; a number is what people write.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Port {
    Text(String),
    Number(u64),
}

impl Port {
    fn number(&self) -> Option<u16> {
        let port = match self {
            Self::Text(text) => text.parse::<u16>().ok(),
            Self::Number(number) => u16::try_from(*number).ok(),
        };
        port.filter(|port| *port > 0)
    }
}

/// Reads a document that has `endpoints` at its top and no kind.
pub(super) fn read(place: &Place, document: &Node, report: &mut Report) -> Vec<BareEndpoint> {
    for (key, _) in document.entries() {
        if key != "endpoints" {
            report.error(
                place,
                key,
                "unknown field, an endpoint file holds only `endpoints`",
            );
        }
    }
    let mut endpoints: Vec<BareEndpoint> = Vec::new();
    let list = document.get("endpoints");
    if list.is_some_and(|list| !matches!(list.value, crate::tree::Value::List(_))) {
        report.error(
            place,
            "endpoints",
            "is not a list, want a list of endpoints",
        );
    }
    for (index, item) in list.map_or(&[][..], Node::items).iter().enumerate() {
        let path = format!("endpoints[{index}]");
        let mut faults = Vec::new();
        let entry = decode::<Entry>(item, &path, &mut faults);
        let endpoint = entry.and_then(|entry| endpoint(entry, &path, &mut faults));
        for fault in faults {
            report.error(place, fault.path, fault.message);
        }
        let Some((namespace, spec)) = endpoint else {
            continue;
        };
        if endpoints.iter().any(|known| known.spec.name == spec.name) {
            let message = format!(
                "endpoint `{}` is already in this file, want each once",
                spec.name
            );
            report.error(place, format!("{path}.name"), message);
            continue;
        }
        endpoints.push(BareEndpoint {
            place: Some((place.clone(), path)),
            namespace,
            spec,
        });
    }
    endpoints
}

fn endpoint(entry: Entry, path: &str, faults: &mut Vec<Fault>) -> Option<(Arc<str>, EndpointSpec)> {
    let mut fault = |key: &str, message: String| {
        faults.push(Fault {
            path: format!("{path}.{key}"),
            message,
        });
    };
    if entry.name.is_empty() {
        fault("name", "is empty, want a name".to_owned());
        return None;
    }
    if !is_host(&entry.address) {
        let message = format!(
            "`{}` is neither an IP address nor a DNS name",
            entry.address
        );
        fault("address", message);
        return None;
    }
    let Some(port) = entry.port.number() else {
        fault(
            "port",
            "is not a port, want a number from 1 to 65535".to_owned(),
        );
        return None;
    };
    let namespace = entry.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let spec = EndpointSpec {
        name: format!("{namespace}/{}", entry.name).into(),
        host: entry.address.into(),
        port,
        scheme: Scheme::Http,
        labels: Arc::new(entry.labels),
        rank: 0,
        ready: true,
    };
    Some((namespace.into(), spec))
}
