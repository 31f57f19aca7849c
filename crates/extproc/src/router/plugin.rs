//! Plugins of the router, and how the command line names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use payload::Body;
use serde_json::{Map, Value};

use super::{RouterObserver, base_model_to_header, body_field_to_header};

/// What is wrong with a plugin on the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// It is not of the form `type:name[:json]`.
    #[error("\"{0}\" is not TYPE:NAME or TYPE:NAME:JSON")]
    Form(String),
    /// Nobody knows the type.
    #[error("plugin type \"{kind}\" is not known; known are {known}")]
    Kind {
        /// The type given.
        kind: String,
        /// All types.
        known: &'static str,
    },
    /// Its parameters are not what the type takes.
    #[error("parameters of plugin \"{name}\" (type {kind}): {reason}")]
    Parameters {
        /// The type.
        kind: String,
        /// The name of the instance.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Two instances share a name.
    #[error("plugin name \"{0}\" is given twice; give one of them another name")]
    Twice(String),
}

/// A plugin as the command line names it: `type:name[:json]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    /// The type, such as `body-field-to-header`.
    pub kind: String,
    /// The name of the instance.
    pub name: String,
    /// Parameters; `null` if none are given.
    pub parameters: Value,
}

impl std::str::FromStr for PluginSpec {
    type Err = PluginError;

    fn from_str(text: &str) -> Result<Self, PluginError> {
        let mut parts = text.splitn(3, ':');
        let (Some(kind), Some(name)) = (parts.next(), parts.next()) else {
            return Err(PluginError::Form(text.to_owned()));
        };
        if kind.is_empty() || name.is_empty() {
            return Err(PluginError::Form(text.to_owned()));
        }
        let parameters = match parts.next().filter(|json| !json.is_empty()) {
            None => Value::Null,
            Some(json) => serde_json::from_str(json).map_err(|error| PluginError::Parameters {
                kind: kind.to_owned(),
                name: name.to_owned(),
                reason: error.to_string(),
            })?,
        };
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            parameters,
        })
    }
}

/// A request or an answer, as plugins see it: a body to read or change, headers to set.
pub struct BodyMessage<'m> {
    /// The model the request names; `None` for answers.
    pub model: Option<&'m Arc<str>>,
    /// Its base model, if a mapping knows it.
    pub base: Option<&'m Arc<str>>,
    /// The body as it is, without `Content-Encoding`.
    pub body: &'m Body,
    /// Listens to what happens.
    pub observer: &'m dyn RouterObserver,
    document: Option<Map<String, Value>>,
    changed: bool,
    set: BTreeMap<String, String>,
}

impl<'m> BodyMessage<'m> {
    pub(super) fn new(
        model: Option<&'m Arc<str>>,
        base: Option<&'m Arc<str>>,
        body: &'m Body,
        observer: &'m dyn RouterObserver,
    ) -> Self {
        Self {
            model,
            base,
            body,
            observer,
            document: None,
            changed: false,
            set: BTreeMap::new(),
        }
    }

    /// Sets a header.
    pub fn set_header(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.set.insert(name.into(), value.into());
    }

    /// Sets a member of the body's outermost object. The whole body is then written anew, with sorted keys. Does nothing
    /// to a body that is no JSON object.
    pub fn set_field(&mut self, name: impl Into<String>, value: Value) {
        if self.document.is_none() {
            let whole = self.body.chunks().concat();
            self.document = serde_json::from_slice(&whole).ok();
        }
        if let Some(document) = &mut self.document {
            document.insert(name.into(), value);
            self.changed = true;
        }
    }

    /// The headers that were set, and the body if it was changed.
    pub(super) fn finish(self) -> (BTreeMap<String, String>, Option<Bytes>) {
        let body = self
            .document
            .filter(|_| self.changed)
            .map(|document| Bytes::from(Value::Object(document).to_string()));
        (self.set, body)
    }
}

/// A plugin. It may work on requests, on answers, or on both.
pub trait RouterPlugin: Send + Sync {
    /// Its type.
    fn kind(&self) -> &str;

    /// The name of the instance.
    fn name(&self) -> &str;

    /// Headers it may set on requests, which are removed from what clients send.
    fn owned_headers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Works on a request.
    fn request(&self, _message: &mut BodyMessage<'_>) {}

    /// Whether it works on answers.
    fn reads_answers(&self) -> bool {
        false
    }

    /// Works on an answer.
    fn response(&self, _message: &mut BodyMessage<'_>) {}
}

/// The plugins of a router, in the order in which they run.
#[derive(Clone)]
pub struct RouterPlugins(Vec<Arc<dyn RouterPlugin>>);

impl RouterPlugins {
    const KNOWN: &'static str = "body-field-to-header, base-model-to-header";

    /// Plugins of the caller's own making.
    #[must_use]
    pub fn new(plugins: Vec<Arc<dyn RouterPlugin>>) -> Self {
        Self(plugins)
    }

    /// The plugins named on the command line; none named means the two usual ones.
    ///
    /// # Errors
    /// The first that cannot be made.
    pub fn from_specs(specs: &[PluginSpec]) -> Result<Self, PluginError> {
        if specs.is_empty() {
            return Ok(Self(vec![
                Arc::new(body_field_to_header::BodyFieldToHeader::model()),
                Arc::new(base_model_to_header::BaseModelToHeader::usual()),
            ]));
        }
        let mut plugins: Vec<Arc<dyn RouterPlugin>> = Vec::with_capacity(specs.len());
        for spec in specs {
            if plugins.iter().any(|plugin| plugin.name() == spec.name) {
                return Err(PluginError::Twice(spec.name.clone()));
            }
            plugins.push(match spec.kind.as_str() {
                body_field_to_header::KIND => {
                    Arc::new(body_field_to_header::BodyFieldToHeader::build(spec)?)
                }
                base_model_to_header::KIND => {
                    Arc::new(base_model_to_header::BaseModelToHeader::build(spec)?)
                }
                _ => {
                    return Err(PluginError::Kind {
                        kind: spec.kind.clone(),
                        known: Self::KNOWN,
                    });
                }
            });
        }
        Ok(Self(plugins))
    }

    /// The plugins.
    #[must_use]
    pub fn into_list(self) -> Vec<Arc<dyn RouterPlugin>> {
        self.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<dyn RouterPlugin>> {
        self.0.iter()
    }

    pub(super) fn read_answers(&self) -> bool {
        self.0.iter().any(|plugin| plugin.reads_answers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_of_the_command_line() {
        let spec: PluginSpec =
            r#"body-field-to-header:user:{"fieldName":"user","headerName":"X-User"}"#
                .parse()
                .unwrap();
        assert_eq!(
            (spec.kind.as_str(), spec.name.as_str()),
            ("body-field-to-header", "user")
        );
        assert_eq!(spec.parameters["headerName"], "X-User");
        let plugins = RouterPlugins::from_specs(std::slice::from_ref(&spec)).unwrap();
        assert_eq!(plugins.iter().count(), 1);
        let plain: PluginSpec = "base-model-to-header:base".parse().unwrap();
        assert_eq!(plain.parameters, Value::Null);
        assert!(RouterPlugins::from_specs(&[plain]).is_ok());
        assert_eq!(
            RouterPlugins::from_specs(&[spec.clone(), spec]).err(),
            Some(PluginError::Twice("user".into()))
        );
    }

    #[test]
    fn plugins_that_cannot_be_made_say_why() {
        for (text, want) in [
            ("x", "is not TYPE:NAME"),
            (":y", "is not TYPE:NAME"),
            ("nobody:y", "is not known; known are body-field-to-header"),
            ("body-field-to-header:y", "fieldName"),
            ("body-field-to-header:y:{", "EOF"),
            (
                r#"body-field-to-header:y:{"fieldName":"a","headerName":"b","x":1}"#,
                "unknown field",
            ),
            (
                r#"body-field-to-header:y:{"fieldName":"a","headerName":"b c"}"#,
                "no header name",
            ),
            (r#"base-model-to-header:y:{"x":1}"#, "takes none"),
        ] {
            let error = text
                .parse()
                .and_then(|spec| RouterPlugins::from_specs(&[spec]).map(|_| ()))
                .unwrap_err()
                .to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
