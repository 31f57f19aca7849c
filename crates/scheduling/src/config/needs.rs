//! Data that plugins read must be brought by someone; usual producers are added.

use resources::{Dialect, EndpointPickerConfig};
use serde_json::{Map, Value, json};

use super::Findings;
use super::instances::Instances;
use crate::data::{Data, Need};

/// Parameters that GIE v1.5 takes on `prefix-cache-scorer` and hands to the producer.
const HANDED_ON: [&str; 5] = [
    "autoTune",
    "blockSize",
    "blockSizeTokens",
    "maxPrefixBlocksToMatch",
    "lruCapacityPerServer",
];

/// Adds producers until nothing is missing.
pub(super) fn fill(
    config: &mut EndpointPickerConfig,
    instances: &mut Instances<'_>,
    findings: &mut Findings<'_>,
) {
    // Each turn adds a producer; there are as many as kinds of data.
    let mut refused: Vec<Need> = Vec::new();
    loop {
        // What cannot be added comes first: a producer added for other data might bring it, and
        // whether it does would depend on what else is configured.
        let mut missing = missing(instances);
        missing.retain(|(_, need)| !refused.contains(need));
        missing.sort_by_key(|(_, need)| need.data.added().is_some());
        let next = missing.into_iter().next();
        let Some((who, need)) = next else {
            return;
        };
        let usual = *need.producer == *need.data.usual_producer();
        let kind = need.data.added().filter(|_| usual);
        match kind {
            Some(kind) if instances.get(kind).is_none() => {
                let parameters = match (kind, config.dialect) {
                    ("approx-prefix-cache-producer", Dialect::Gie) => handed_on(config),
                    _ => Value::Null,
                };
                instances.add_with(kind, parameters, config, findings);
            }
            _ => {
                let path = config.plugins.iter().position(|plugin| plugin.name == who);
                let path =
                    path.map_or_else(|| "plugins".to_owned(), |index| format!("plugins[{index}]"));
                findings.error(&path, explain(&who, &need));
                refused.push(need);
            }
        }
    }
}

fn explain(who: &str, need: &Need) -> String {
    let usual = need.data.usual_producer();
    let hint = if need.data == Data::CoreMetrics {
        "a plugin of type core-metrics-extractor; leave injectDefaults on to have one".to_owned()
    } else if *need.producer == *usual {
        format!("a plugin of type {usual}")
    } else {
        format!("a plugin named {}", need.producer)
    };
    format!(
        "plugin '{who}' needs {need}, and no default producer found for missing data key {need}; add {hint}"
    )
}

/// What is required and not brought, with the name of the first plugin that wants it.
fn missing(instances: &Instances<'_>) -> Vec<(String, Need)> {
    let brings = |need: &Need| {
        instances.made.iter().any(|made| {
            made.instance.provides.iter().any(|(data, named)| {
                *data == need.data && named.unwrap_or(&made.name) == &*need.producer
            })
        })
    };
    let mut missing: Vec<(String, Need)> = Vec::new();
    for made in &instances.made {
        for need in made.instance.needs.iter().filter(|need| need.required) {
            if !brings(need) && !missing.iter().any(|(_, known)| known == need) {
                missing.push((made.name.to_string(), need.clone()));
            }
        }
    }
    missing
}

/// Parameters for the producer that stand on a scorer, in GIE v1.5's way.
fn handed_on(config: &EndpointPickerConfig) -> Value {
    let mut out = Map::new();
    let scorers = config.plugins.iter();
    for scorer in scorers.filter(|plugin| plugin.kind == "prefix-cache-scorer") {
        if let Value::Object(given) = &scorer.parameters {
            for key in HANDED_ON {
                if let Some(value) = given.get(key) {
                    out.insert(key.to_owned(), value.clone());
                }
            }
        }
    }
    // There blocks are counted; here tokens are.
    if let Some(blocks) = out
        .remove("maxPrefixBlocksToMatch")
        .and_then(|v| v.as_i64())
    {
        let size = out.get("blockSizeTokens").or_else(|| out.get("blockSize"));
        let size = size.and_then(Value::as_i64).unwrap_or(16);
        out.insert("maxPrefixTokensToMatch".to_owned(), json!(blocks * size));
    }
    if out.is_empty() {
        Value::Null
    } else {
        Value::Object(out)
    }
}
