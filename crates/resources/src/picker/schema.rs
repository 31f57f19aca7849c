//! The JSON schema of the format.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    DataLayerConfig, FlowControl, GIE_VERSION, LLMD_VERSION, PICKER_KIND, PluginConfig, PluginRef,
    ProfileConfig, RequestHandlerConfig,
};

/// Schemas of plugin parameters.
#[derive(Debug, Default)]
pub struct Parameters {
    generator: SchemaGenerator,
    kinds: Vec<(String, Schema)>,
}

impl Parameters {
    /// Adds a plugin type whose parameters have the shape of `T`.
    pub fn add<T: JsonSchema>(&mut self, kind: &str) {
        let schema = self.generator.subschema_for::<T>();
        self.kinds.push((kind.to_owned(), schema));
    }
}

/// Unknown fields are errors, so every object says so.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.contains_key("properties") && object.get("type") == Some(&json!("object")) {
                object
                    .entry("additionalProperties")
                    .or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

pub(super) fn schema(parameters: Parameters) -> Value {
    let Parameters {
        mut generator,
        kinds,
    } = parameters;
    let part = |schema: Schema| schema.to_value();
    let mut plugin = part(generator.subschema_for::<PluginConfig>());
    if !kinds.is_empty() {
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| kind.as_str()).collect();
        let by_kind: Vec<Value> = kinds
            .iter()
            .map(|(kind, schema)| {
                json!({
                    "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
                    "then": {"properties": {"parameters": schema}},
                })
            })
            .collect();
        let known = json!({"properties": {"type": {"enum": names}}});
        let all: Vec<Value> = [plugin, known].into_iter().chain(by_kind).collect();
        plugin = json!({ "allOf": all });
    }
    let profile = part(generator.subschema_for::<ProfileConfig>());
    let layer = part(generator.subschema_for::<DataLayerConfig>());
    let flow = part(generator.subschema_for::<FlowControl>());
    let handler = part(generator.subschema_for::<RequestHandlerConfig>());
    let reference = part(generator.subschema_for::<PluginRef>());
    let mut definitions = Value::Object(generator.take_definitions(true));
    close(&mut definitions);
    let mut root = Map::new();
    let mut put = |key: &str, value: Value| root.insert(key.to_owned(), value);
    put(
        "$schema",
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    put("title", json!(PICKER_KIND));
    put("type", json!("object"));
    put("required", json!(["apiVersion", "kind"]));
    put("additionalProperties", json!(false));
    put(
        "properties",
        json!({
            "apiVersion": {"enum": [LLMD_VERSION, GIE_VERSION]},
            "kind": {"const": PICKER_KIND},
            "featureGates": {
                "description": "Switches, as `name` or `name=true|false`.",
                "type": "array", "items": {"type": "string"},
            },
            "plugins": {"type": "array", "items": plugin},
            "schedulingProfiles": {"type": "array", "items": profile},
            "dataLayer": layer,
            "flowControl": flow,
            "requestHandler": handler,
            "saturationDetector": {"deprecated": true, "allOf": [reference]},
            "parser": {"deprecated": true, "allOf": [reference]},
        }),
    );
    put("$defs", definitions);
    Value::Object(root)
}
