use std::time::Duration;

use super::*;

const HEAD: &str = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n";

fn read(text: &str) -> (EndpointPickerConfig, Vec<String>) {
    let (config, problems) = EndpointPickerConfig::read("p.yaml", &format!("{HEAD}{text}"));
    let told = problems.iter().map(ToString::to_string).collect();
    (config.unwrap(), told)
}

#[test]
fn both_dialects_of_fields_mean_the_same() {
    let (older, told) =
        read("plugins: [{type: a}]\nsaturationDetector: {pluginRef: d}\nparser: {pluginRef: p}\n");
    assert_eq!(told, [""; 0]);
    let (newer, _) = read(
        "plugins: [{type: a, name: null}]\nflowControl: {saturationDetector: {pluginRef: d}}\nrequestHandler: {parsers: [{pluginRef: p}]}\n",
    );
    assert_eq!(older.to_yaml(), newer.to_yaml());
    assert_eq!(older.plugins[0].name, "a");
    // What is said in the newer form rules.
    let (both, _) = read(
        "saturationDetector: {pluginRef: old}\nflowControl: {saturationDetector: {pluginRef: new}}\nparser: {pluginRef: old}\nrequestHandler: {parsers: [{pluginRef: new}]}\n",
    );
    let flow = both.flow_control.unwrap();
    assert_eq!(flow.saturation_detector, Some(PluginRef::to("new")));
    assert_eq!(both.request_handler.parsers, [PluginRef::to("new")]);
}

#[test]
fn json_is_read_as_yaml_is() {
    let text = r#"{"apiVersion":"inference.networking.x-k8s.io/v1alpha1","kind":"EndpointPickerConfig","plugins":[{"type":"a","parameters":{"x":1}}]}"#;
    let (config, problems) = EndpointPickerConfig::read("p.json", text);
    let config = config.unwrap();
    assert_eq!(config.dialect, Dialect::Gie);
    assert_eq!(config.plugins[0].parameters["x"], 1);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(!problems[0].is_error());
}

#[test]
fn what_is_no_such_object_is_refused() {
    for (text, want) in [
        (
            "kind: EndpointPickerConfig",
            "apiVersion: is `(absent)`, want llm-d.ai/v1alpha1",
        ),
        (
            "apiVersion: llm-d.ai/v1\nkind: EndpointPickerConfig",
            "is `llm-d.ai/v1`",
        ),
        (
            "apiVersion: llm-d.ai/v1alpha1\nkind: Pod",
            "p.yaml:2: kind: is `Pod`, want EndpointPickerConfig",
        ),
        ("- a", "is not an object"),
        ("a: [", "is not valid YAML"),
        (
            "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: []\nplugins: []",
            "duplicate mapping key: plugins",
        ),
        (
            "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n---\na: b",
            "is a second document",
        ),
    ] {
        let (config, problems) = EndpointPickerConfig::read("p.yaml", text);
        assert!(config.is_none(), "{text}");
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|problem| problem.contains(want)),
            "{text}: {told:?}"
        );
    }
    let (config, problems) = EndpointPickerConfig::read("p.yaml", "\n# nothing\n");
    assert_eq!(config.unwrap().scheduling_profiles[0].plugins.len(), 3);
    assert!(problems.is_empty());
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let (_, told) = read(
        "Plugins: []
plugins:
- testing 1 2 3
- {type: a, colour: red}
- {type: [a]}
schedulingProfiles:
- name: a
  plugins: [{pluginRef: x, weight: heavy}, {ref: x}]
dataLayer: {sources: [{pluginRef: x, extractors: [y]}]}
flowControl: {maxBytes: 10Zi}
",
    );
    let text = told.join("\n");
    for want in [
        "p.yaml:3: Plugins: unknown field `Plugins`, want one of apiVersion",
        "p.yaml:5: plugins[0]: invalid type",
        "p.yaml:6: plugins[1].colour: unknown field `colour`, want one of name, type, parameters",
        "p.yaml:7: plugins[2].type: invalid type",
        "p.yaml:10: schedulingProfiles[0].plugins[0].weight: invalid type",
        "p.yaml:11: dataLayer.sources[0].extractors[0]",
        "p.yaml:12: flowControl.maxBytes: quantity `10Zi` is not valid",
    ] {
        assert!(text.contains(want), "no {want:?} in\n{text}");
    }
}

#[test]
fn feature_gates() {
    let (config, told) =
        read("featureGates: [flowControl=TRUE, 'haPopulateNonLeaderDatastore= f =x']");
    assert_eq!(told, [""; 0]);
    assert!(config.gates.flow_control && !config.gates.ha_populate_non_leader_datastore);
    for (gate, want) in [
        (
            "flowControl=maybe",
            "is not a valid value for the feature gate 'flowControl'",
        ),
        (" flowControl", "unknown or unregistered"),
        (
            "enableLegacyMetrics",
            "feature gate 'enableLegacyMetrics' is unknown",
        ),
    ] {
        let (_, told) = read(&format!("featureGates: ['{gate}']"));
        assert!(told[0].contains(want), "{told:?}");
    }
}

#[test]
fn flow_control_in_numbers() {
    let (config, told) = read(
        "featureGates: [flowControl]
flowControl:
  maxBytes: 1Gi
  maxRequests: 20k
  defaultRequestTTL: 1m
  noEndpointRequestTTL: 5m
  defaultPriorityBand: {maxBytes: 10}
  defaultNegativePriorityBand: {maxRequests: \"0\"}
  priorityBands: [{priority: 1, maxBytes: 500Mi}]
",
    );
    assert_eq!(told, [""; 0]);
    let flow = config.flow_control.unwrap();
    let limits = |max_bytes, max_requests| FlowLimits {
        max_bytes,
        max_requests,
    };
    assert_eq!(flow.limits(), limits(1 << 30, 20_000));
    assert_eq!(flow.default_limits(), limits(10, 5_000));
    assert_eq!(flow.default_negative_limits(), limits(1_000_000_000, 5_000));
    assert_eq!(flow.priority_bands[0].limits(), limits(500 << 20, 5_000));
    assert_eq!(flow.request_ttl(), Some(Duration::from_secs(60)));
    assert_eq!(flow.no_endpoint_ttl(), Some(Duration::from_secs(300)));
    let usual = FlowControl::default();
    assert_eq!(
        (usual.limits(), usual.request_ttl()),
        (limits(0, 0), Some(Duration::from_secs(60)))
    );
    let zero = FlowControl {
        default_request_ttl: Some(GoDuration::default()),
        ..FlowControl::default()
    };
    assert_eq!((zero.request_ttl(), zero.no_endpoint_ttl()), (None, None));
}

#[test]
fn flow_control_out_of_range() {
    let section = "flowControl:
  maxBytes: -1
  defaultRequestTTL: -1s
  noEndpointRequestTTL: -2s
  defaultPriorityBand: {maxBytes: \"-5\"}
  defaultNegativePriorityBand: {maxRequests: -3}
  priorityBands: [{priority: 1, maxRequests: \"-100\"}, {priority: 1}]
";
    let (_, told) = read(&format!("featureGates: [flowControl]\n{section}"));
    let text = told.join("\n");
    for want in [
        "flowControl.maxBytes: global MaxBytes must be non-negative, got -1",
        "DefaultRequestTTL cannot be negative, got -1s",
        "NoEndpointRequestTTL cannot be negative, got -2s",
        "default priority band MaxBytes must be non-negative, got -5",
        "default negative priority band MaxRequests must be non-negative, got -3",
        "priority band 1 MaxRequests must be non-negative, got -100",
        "flowControl.priorityBands[1].priority: duplicate priority level 1",
    ] {
        assert!(text.contains(want), "no {want:?} in\n{text}");
    }
    // With the gate off nobody looks at the numbers.
    let (_, told) = read(section);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("has no effect while the feature gate flowControl is off"));
    assert_eq!(read("saturationDetector: {pluginRef: x}").1, [""; 0]);
}

#[test]
fn quantities() {
    for (text, want) in [
        ("0", Some(0)),
        ("-5", Some(-5)),
        ("20k", Some(20_000)),
        ("1.5k", Some(1_500)),
        ("10Gi", Some(10 << 30)),
        ("1e3", Some(1_000)),
        ("100m", Some(1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("8Ei", None),
        ("", None),
        ("k", None),
        ("10Zi", None),
        ("1 k", None),
        ("NaN", None),
    ] {
        assert_eq!(
            Quantity::parse(text).ok().map(|quantity| quantity.0),
            want,
            "{text}"
        );
    }
}

#[test]
fn durations_of_go() {
    for (text, want) in [
        ("60s", Some(60_000_000_000)),
        ("1m30s", Some(90_000_000_000)),
        ("1.5h", Some(5_400_000_000_000)),
        ("200ms", Some(200_000_000)),
        ("-1s", Some(-1_000_000_000)),
        ("0", Some(0)),
        ("2us", Some(2_000)),
        ("", None),
        ("5", None),
        ("s", None),
        ("1d", None),
        ("1..5s", None),
    ] {
        assert_eq!(
            parse_go_duration(text).map(|duration| duration.nanos),
            want,
            "{text}"
        );
    }
    for text in ["60s", "200ms", "-1s", "1500ms", "7ns"] {
        assert_eq!(parse_go_duration(text).unwrap().to_string(), text);
    }
}

#[test]
fn the_schema_lists_what_the_reader_takes() {
    let schema = EndpointPickerConfig::schema(ParameterSchemas::default());
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 10, "{fields:?}");
    assert_eq!(schema["additionalProperties"], false);
    let text = schema.to_string();
    for field in [
        "pluginRef",
        "crossReplicaSyncInterval",
        "orderingPolicyRef",
        "enableEviction",
    ] {
        assert!(text.contains(&format!("\"{field}\"")), "{field}");
    }
}
