//! `base-model-to-header`: the base model that the request's model belongs to, by the mapping of ConfigMaps.

use super::plugin::{BodyMessage, PluginError, PluginSpec, RouterPlugin};

pub(super) const KIND: &str = "base-model-to-header";
const HEADER: &str = "X-Gateway-Base-Model-Name";

/// An unknown model gets an empty header, which no route matches; a request without a model gets none.
#[derive(Debug)]
pub(super) struct BaseModelToHeader {
    name: String,
}

impl BaseModelToHeader {
    pub(super) fn usual() -> Self {
        Self {
            name: KIND.to_owned(),
        }
    }

    pub(super) fn build(spec: &PluginSpec) -> Result<Self, PluginError> {
        let none = spec.parameters.is_null()
            || spec
                .parameters
                .as_object()
                .is_some_and(serde_json::Map::is_empty);
        if !none {
            return Err(PluginError::Parameters {
                kind: spec.kind.clone(),
                name: spec.name.clone(),
                reason: "it takes none".to_owned(),
            });
        }
        Ok(Self {
            name: spec.name.clone(),
        })
    }
}

impl RouterPlugin for BaseModelToHeader {
    fn kind(&self) -> &str {
        KIND
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn owned_headers(&self) -> Vec<String> {
        vec![HEADER.to_owned()]
    }

    fn request(&self, message: &mut BodyMessage<'_>) {
        if message.model.is_some() {
            let base = message.base.map_or("", |base| base);
            message.set_header(HEADER, base);
        }
    }
}
