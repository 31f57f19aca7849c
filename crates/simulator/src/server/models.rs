//! Names that a server answers to.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{config::SimConfig, engine::AdapterId};

/// The base model's names and the registered adapters.
#[derive(Debug)]
pub(super) struct Models {
    base: Vec<String>,
    adapters: BTreeMap<String, Adapter>,
    adapters_max: usize,
    issued: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Adapter {
    pub(super) id: AdapterId,
    /// Where it is loaded from, as the client said.
    pub(super) path: String,
}

/// A model named by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// The name as requested.
    pub(super) name: String,
    /// The adapter, or none for the base model.
    pub(super) adapter: Option<AdapterId>,
}

/// Why an adapter was not registered or removed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum AdapterError {
    #[error("The lora adapter '{name}' has already been loaded.")]
    Exists { name: String },
    #[error("The lora adapter '{name}' cannot be found.")]
    Unknown { name: String },
    #[error("{max} adapters are registered, which is the most allowed.")]
    Full { max: usize },
}

impl Models {
    pub(super) fn new(config: &SimConfig) -> Self {
        let mut base = vec![config.model.clone()];
        base.extend(config.aliases.iter().cloned());
        let adapters_max = config.adapters_max as usize;
        let mut models = Self {
            base,
            adapters: BTreeMap::new(),
            adapters_max,
            issued: 0,
        };
        for name in &config.adapters {
            // A name given twice is registered once.
            let _ = models.load(name, name);
        }
        models
    }

    /// The model of that name; none means the base model, as in vLLM.
    pub(super) fn resolve(&self, name: Option<&str>) -> Option<Served> {
        let name = name.or(self.base.first().map(String::as_str))?;
        let adapter = match self.adapters.get(name) {
            Some(adapter) => Some(adapter.id),
            None if self.base.iter().any(|base| base == name) => None,
            None => return None,
        };
        Some(Served {
            name: name.to_owned(),
            adapter,
        })
    }

    pub(super) fn load(&mut self, name: &str, path: &str) -> Result<(), AdapterError> {
        if self.adapters.contains_key(name) || self.base.iter().any(|base| base == name) {
            return Err(AdapterError::Exists {
                name: name.to_owned(),
            });
        }
        if self.adapters.len() >= self.adapters_max {
            return Err(AdapterError::Full {
                max: self.adapters_max,
            });
        }
        // Numbers are not used again: requests of a removed adapter may still run.
        let adapter = Adapter {
            id: AdapterId(self.issued),
            path: path.to_owned(),
        };
        self.issued = self.issued.wrapping_add(1);
        self.adapters.insert(name.to_owned(), adapter);
        Ok(())
    }

    pub(super) fn unload(&mut self, name: &str) -> Result<AdapterId, AdapterError> {
        let removed = self.adapters.remove(name).map(|adapter| adapter.id);
        removed.ok_or_else(|| AdapterError::Unknown {
            name: name.to_owned(),
        })
    }

    /// Names of the base model, the real one first.
    pub(super) fn base(&self) -> &[String] {
        &self.base
    }

    pub(super) fn adapters(&self) -> impl Iterator<Item = (&str, &Adapter)> {
        self.adapters
            .iter()
            .map(|(name, adapter)| (name.as_str(), adapter))
    }

    /// Names of those of `ids` that are still registered, separated by commas.
    pub(super) fn names(&self, ids: &[AdapterId]) -> String {
        let named = self
            .adapters()
            .filter(|(_, adapter)| ids.contains(&adapter.id));
        named.map(|(name, _)| name).collect::<Vec<_>>().join(",")
    }
}
