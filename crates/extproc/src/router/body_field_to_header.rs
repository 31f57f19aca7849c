//! `body-field-to-header`: puts a top-level field of the body into a header.

use payload::{TopField, top_field};
use serde::Deserialize;

use super::plugin::{BodyMessage, PluginError, PluginSpec, RouterPlugin};

pub(super) const KIND: &str = "body-field-to-header";
const MODEL: &str = "model";
const MODEL_HEADER: &str = "X-Gateway-Model-Name";

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Parameters {
    field_name: String,
    header_name: String,
}

/// Texts are taken as they are, numbers and booleans as written; lists, objects and null count as missing.
#[derive(Debug)]
pub(super) struct BodyFieldToHeader {
    name: String,
    field: String,
    header: String,
}

impl BodyFieldToHeader {
    /// The usual instance: the model.
    pub(super) fn model() -> Self {
        Self {
            name: KIND.to_owned(),
            field: MODEL.to_owned(),
            header: MODEL_HEADER.to_owned(),
        }
    }

    pub(super) fn build(spec: &PluginSpec) -> Result<Self, PluginError> {
        let wrong = |reason: String| PluginError::Parameters {
            kind: spec.kind.clone(),
            name: spec.name.clone(),
            reason,
        };
        let parameters = if spec.parameters.is_null() {
            return Err(wrong(
                "fieldName and headerName are required, for example \
                 {\"fieldName\":\"model\",\"headerName\":\"X-Gateway-Model-Name\"}"
                    .to_owned(),
            ));
        } else {
            Parameters::deserialize(&spec.parameters).map_err(|error| wrong(error.to_string()))?
        };
        if parameters.field_name.is_empty() {
            return Err(wrong("fieldName is empty".to_owned()));
        }
        if http::HeaderName::try_from(&parameters.header_name).is_err() {
            return Err(wrong(format!(
                "headerName \"{}\" is no header name",
                parameters.header_name
            )));
        }
        Ok(Self {
            name: spec.name.clone(),
            field: parameters.field_name,
            header: parameters.header_name,
        })
    }

    fn value(&self, message: &BodyMessage<'_>) -> TopField {
        match message.model {
            // Found by the scan, also in multipart forms.
            Some(model) if self.field == MODEL => TopField::Text(model.clone()),
            _ => top_field(message.body, &self.field).unwrap_or(TopField::Missing),
        }
    }
}

impl RouterPlugin for BodyFieldToHeader {
    fn kind(&self) -> &str {
        KIND
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn owned_headers(&self) -> Vec<String> {
        vec![self.header.clone()]
    }

    fn request(&self, message: &mut BodyMessage<'_>) {
        match self.value(message) {
            TopField::Text(text) => message.set_header(&self.header, &*text),
            TopField::Empty => message.observer.field_empty(&self.field),
            TopField::Missing => message.observer.field_missing(&self.field),
        }
    }
}
