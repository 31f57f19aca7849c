//! From text to a configuration, section by section, so that one mistake does not hide the next.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{
    DataLayerConfig, Dialect, EndpointPickerConfig, FlowControl, GIE_VERSION, Gates, LLMD_VERSION,
    PICKER_KIND, PluginRef, RequestHandlerConfig,
};
use crate::Problem;
use crate::decode::{Fault, decode};
use crate::report::{Place, Report};
use crate::tree::{self, Node, Value};

/// The fields that each part of the format has. `[]` stands for every item of a list.
const FIELDS: &[(&str, &str)] = &[
    (
        "",
        "apiVersion, kind, featureGates, plugins, schedulingProfiles, dataLayer, flowControl, requestHandler, saturationDetector, parser",
    ),
    ("plugins[]", "name, type, parameters"),
    ("schedulingProfiles[]", "name, plugins"),
    ("schedulingProfiles[].plugins[]", "pluginRef, weight"),
    (
        "dataLayer",
        "injectDefaults, sources, discovery, peerDiscovery, crossReplicaSyncerPluginRef, crossReplicaSyncInterval",
    ),
    ("dataLayer.sources[]", "pluginRef, extractors"),
    (
        "flowControl",
        "maxBytes, maxRequests, defaultRequestTTL, noEndpointRequestTTL, defaultPriorityBand, defaultNegativePriorityBand, priorityBands, usageLimitPolicyPluginRef, saturationDetector, enableEviction",
    ),
    ("flowControl.defaultPriorityBand", BAND_FIELDS),
    ("flowControl.defaultNegativePriorityBand", BAND_FIELDS),
    (
        "flowControl.priorityBands[]",
        "priority, maxBytes, maxRequests, fairnessPolicyRef, orderingPolicyRef",
    ),
    ("requestHandler", "parsers"),
];
const BAND_FIELDS: &str = "maxBytes, maxRequests, fairnessPolicyRef, orderingPolicyRef";
/// All other objects of the format are references.
const REF_FIELDS: &str = "pluginRef";

pub(super) fn read(origin: &str, text: &str) -> (Option<EndpointPickerConfig>, Vec<Problem>) {
    let mut report = Report::default();
    let source: Arc<str> = origin.into();
    let documents = match tree::parse(text) {
        Ok(documents) => documents,
        Err(error) => {
            let message = format!("is not valid YAML: {}", error.message);
            report.source_error(&source, error.line, message);
            return (None, report.finish());
        }
    };
    let mut documents = documents
        .into_iter()
        .filter(|document| !matches!(document.value, Value::Null));
    let Some(document) = documents.next() else {
        return (Some(EndpointPickerConfig::reference_default()), Vec::new());
    };
    let mut place = Place {
        source,
        object: None,
        node: Arc::new(document),
    };
    if let Some(second) = documents.next() {
        place.node = Arc::new(second);
        report.error(
            &place,
            "",
            "is a second document, want one EndpointPickerConfig",
        );
        return (None, report.finish());
    }
    if !matches!(place.node.value, Value::Map(_)) {
        let message =
            format!("is not an object, want apiVersion: {LLMD_VERSION} and kind: {PICKER_KIND}");
        report.error(&place, "", message);
        return (None, report.finish());
    }
    let Some(dialect) = dialect(&place, &mut report) else {
        return (None, report.finish());
    };
    let config = sections(dialect, place, &mut report);
    (Some(config), report.finish())
}

/// Checks the identity of the object.
fn dialect(place: &Place, report: &mut Report) -> Option<Dialect> {
    let text = |key| place.node.get(key).and_then(Node::text);
    let kind = text("kind");
    if kind != Some(PICKER_KIND) {
        let given = kind.unwrap_or("(absent)");
        report.error(place, "kind", format!("is `{given}`, want {PICKER_KIND}"));
    }
    let dialect = match text("apiVersion") {
        Some(LLMD_VERSION) => Some(Dialect::LlmD),
        Some(GIE_VERSION) => {
            let message = format!(
                "`{GIE_VERSION}` is deprecated; write {LLMD_VERSION} once GIE's own picker is gone"
            );
            report.warning(place, "apiVersion", message);
            Some(Dialect::Gie)
        }
        other => {
            let given = other.unwrap_or("(absent)");
            let message = format!("is `{given}`, want {LLMD_VERSION} or {GIE_VERSION}");
            report.error(place, "apiVersion", message);
            None
        }
    };
    dialect.filter(|_| kind == Some(PICKER_KIND))
}

struct Reader<'r> {
    place: Place,
    report: &'r mut Report,
}

impl Reader<'_> {
    fn faults(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            let message = if fault.message.starts_with("unknown field") {
                let (parent, field) = split(&fault.path);
                let parent = generic(parent);
                let known = FIELDS.iter().find(|(path, _)| *path == parent);
                let allowed = known.map_or(REF_FIELDS, |(_, fields)| fields);
                format!("unknown field `{field}`, want one of {allowed}")
            } else {
                fault.message
            };
            self.report.error(&self.place, fault.path, message);
        }
    }

    /// Decodes the value at `key` of the object; the default when it is absent or null.
    fn section<T: DeserializeOwned + Default>(&mut self, key: &str) -> Option<T> {
        let node = self.place.node.get(key)?.clone();
        self.value(&node, key)
    }

    fn value<T: DeserializeOwned>(&mut self, node: &Node, path: &str) -> Option<T> {
        let node = without_nulls(node);
        if matches!(node.value, Value::Null) {
            return None;
        }
        let mut faults = Vec::new();
        let value = decode(&node, path, &mut faults);
        self.faults(faults);
        value
    }

    /// Decodes a list item by item; items that cannot be read are `None`.
    fn list<T: DeserializeOwned + Default>(&mut self, key: &str) -> Vec<T> {
        let Some(node) = self.place.node.get(key).cloned() else {
            return Vec::new();
        };
        if !matches!(node.value, Value::List(_) | Value::Null) {
            self.report.error(&self.place, key, "is not a list");
        }
        let items = node.items().iter().enumerate();
        items
            .filter_map(|(index, item)| self.value(item, &format!("{key}[{index}]")))
            .collect()
    }
}

fn sections(dialect: Dialect, place: Place, report: &mut Report) -> EndpointPickerConfig {
    let mut reader = Reader { place, report };
    let known: Vec<&str> = FIELDS[0].1.split(", ").collect();
    let node = Arc::clone(&reader.place.node);
    for (key, _) in node.entries() {
        if !known.contains(&key.as_str()) {
            reader.faults(vec![Fault {
                path: key.clone(),
                message: "unknown field".to_owned(),
            }]);
        }
    }
    let mut config = EndpointPickerConfig {
        dialect,
        feature_gates: reader.list("featureGates"),
        plugins: reader.list("plugins"),
        scheduling_profiles: reader.list("schedulingProfiles"),
        has_data_layer: node.get("dataLayer").is_some(),
        data_layer: reader
            .section::<DataLayerConfig>("dataLayer")
            .unwrap_or_default(),
        flow_control: reader.section::<FlowControl>("flowControl"),
        request_handler: reader
            .section::<RequestHandlerConfig>("requestHandler")
            .unwrap_or_default(),
        ..EndpointPickerConfig::default()
    };
    fold(&mut config, &mut reader);
    for plugin in &mut config.plugins {
        if plugin.name.is_empty() {
            plugin.name.clone_from(&plugin.kind);
        }
    }
    let mut faults = Vec::new();
    config.gates = Gates::resolve(&config.feature_gates, dialect, &mut faults);
    reader.faults(faults);
    if let Some(flow) = &config.flow_control {
        flow_section(flow, config.gates, &mut reader);
    }
    config.place = reader.place;
    config
}

/// Moves deprecated fields to the ones that replaced them.
fn fold(config: &mut EndpointPickerConfig, reader: &mut Reader<'_>) {
    if let Some(detector) = reader.section::<PluginRef>("saturationDetector") {
        let flow = config.flow_control.get_or_insert_default();
        if flow.saturation_detector.is_none() {
            flow.saturation_detector = Some(detector);
        }
    }
    if let Some(parser) = reader.section::<PluginRef>("parser")
        && config.request_handler.parsers.is_empty()
    {
        config.request_handler.parsers.push(parser);
    }
}

fn flow_section(flow: &FlowControl, gates: Gates, reader: &mut Reader<'_>) {
    if gates.flow_control {
        let mut faults = Vec::new();
        flow.check(&mut faults);
        for fault in &mut faults {
            fault.path.insert_str(0, "flowControl.");
        }
        reader.faults(faults);
        return;
    }
    let only_detector = FlowControl {
        saturation_detector: flow.saturation_detector.clone(),
        ..FlowControl::default()
    };
    if *flow != only_detector {
        let message = "has no effect while the feature gate flowControl is off, want featureGates: [flowControl]";
        reader.report.warning(&reader.place, "flowControl", message);
    }
}

/// Entries that are null count as absent, except within parameters, which plugins judge themselves.
fn without_nulls(node: &Node) -> Node {
    let value = match &node.value {
        Value::List(items) => Value::List(items.iter().map(without_nulls).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .filter(|(_, entry)| !matches!(entry.value, Value::Null))
                .map(|(key, entry)| {
                    let entry = if key == "parameters" {
                        entry.clone()
                    } else {
                        without_nulls(entry)
                    };
                    (key.clone(), entry)
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node {
        line: node.line,
        value,
    }
}

/// Parts a path into that of the object and the field.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The path with every index left out.
fn generic(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '[' => {
                inside = true;
                out.push('[');
            }
            ']' => {
                inside = false;
                out.push(']');
            }
            _ if inside => {}
            _ => out.push(letter),
        }
    }
    out
}
