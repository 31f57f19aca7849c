//! `request-attribute-reporter`: a number about a finished request, computed from its token usage
//! by an expression in CEL.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::{Context, Program, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Report, Reporter, TokenUsage};

pub(super) const KIND: Kind =
    Kind::new::<RequestAttributeReporter>("request-attribute-reporter", Roles::RESPONSE);

/// What is reported.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RequestAttributeReporter {
    /// Exactly one.
    #[schemars(required)]
    attributes: Vec<ReportedAttribute>,
}

/// A number and where it goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct ReportedAttribute {
    /// Where it goes.
    #[schemars(required)]
    key: Key,
    /// The number, over `usage`.
    #[schemars(required)]
    expression: String,
    /// Whether it is reported, over `usage`; always when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    condition: String,
}

/// A place in the proxy's dynamic metadata.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Key {
    /// The namespace; `envoy.lb` when left out.
    namespace: String,
    /// The name in it.
    #[schemars(required)]
    name: String,
}

struct Expression {
    namespace: Arc<str>,
    name: Arc<str>,
    value: Program,
    condition: Option<Program>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "report {}/{}", self.namespace, self.name)
    }
}

fn compile(path: &str, text: &str, build: &mut Build<'_>) -> Option<Program> {
    match Program::compile(text) {
        Ok(program) => Some(program),
        Err(error) => {
            build.fault(path, format!("is not a CEL expression: {error}"));
            None
        }
    }
}

impl PluginType for RequestAttributeReporter {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let [attribute] = self.attributes.as_slice() else {
            let message = format!(
                "attributes must contain exactly one entry, there are {}",
                self.attributes.len()
            );
            build.fault("attributes", message);
            return Instance::default();
        };
        if attribute.key.name.is_empty() {
            build.fault("attributes[0].key.name", "key.name is required");
        }
        if attribute.expression.trim().is_empty() {
            build.fault("attributes[0].expression", "expression is required");
            return Instance::default();
        }
        let value = compile("attributes[0].expression", &attribute.expression, build);
        let condition = match attribute.condition.trim() {
            "" => Some(None),
            text => compile("attributes[0].condition", text, build).map(Some),
        };
        let (Some(value), Some(condition)) = (value, condition) else {
            return Instance::default();
        };
        let namespace = match attribute.key.namespace.as_str() {
            "" => "envoy.lb",
            given => given,
        };
        Instance {
            reporter: Some(Arc::new(Expression {
                namespace: namespace.into(),
                name: attribute.key.name.as_str().into(),
                value,
                condition,
            })),
            ..Instance::default()
        }
    }
}

/// The usage as the expression sees it. Numbers are doubles, as in the reference.
fn usage_map(usage: &TokenUsage) -> HashMap<String, Value> {
    let mut map = HashMap::new();
    let fields = [
        ("prompt_tokens", usage.prompt_tokens),
        ("completion_tokens", usage.completion_tokens),
        ("total_tokens", usage.total_tokens),
    ];
    for (name, tokens) in fields {
        if let Some(tokens) = tokens {
            map.insert(name.to_owned(), Value::Float(tokens as f64));
        }
    }
    if let Some(tokens) = usage.cached_tokens {
        for name in ["prompt_tokens_details", "prompt_token_details"] {
            let details =
                HashMap::from([("cached_tokens".to_owned(), Value::Float(tokens as f64))]);
            map.insert(name.to_owned(), details.into());
        }
    }
    map
}

impl Reporter for Expression {
    fn report(&self, usage: &TokenUsage) -> Option<Report> {
        let mut context = Context::default();
        context.add_variable_from_value("usage", usage_map(usage));
        if let Some(condition) = &self.condition
            && condition.execute(&context).ok()? != Value::Bool(true)
        {
            return None;
        }
        let value = match self.value.execute(&context).ok()? {
            Value::Int(value) => value,
            Value::UInt(value) => i64::try_from(value).ok()?,
            Value::Float(value) => value as i64,
            _ => return None,
        };
        (value != 0).then(|| Report {
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(&self.name),
            value,
        })
    }
}
