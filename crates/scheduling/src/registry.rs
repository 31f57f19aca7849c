//! Builds profiles from plugin type strings and parameters.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::profile::{Named, Weighted};
use crate::{Plugin, Profile, filters, pickers, scorers};

/// One plugin of a profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSpec {
    /// The plugin type, such as `queue-scorer`.
    pub kind: String,
    /// The name of the instance; the type when absent.
    pub name: Option<String>,
    /// Weight of a scorer, 1 when absent; ignored for filters and pickers.
    pub weight: Option<f64>,
    /// Parameters of the type; `null` = none given.
    pub parameters: Value,
}

/// A profile: filters and scorers in order, and at most one picker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileSpec {
    /// The plugins.
    pub plugins: Vec<PluginSpec>,
}

/// What is wrong with the parameters of a plugin.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// They do not have the shape the plugin takes.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// A value outside of its range.
    #[error("{field} is {value}: {allowed}")]
    Range {
        /// The parameter.
        field: &'static str,
        /// The value given.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
}

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody registered the type.
    #[error("plugins[{index}]: plugin type '{kind}' is not registered; known types are {known}")]
    UnknownKind {
        /// Index in [`ProfileSpec::plugins`].
        index: usize,
        /// The type given.
        kind: String,
        /// All types, comma-separated.
        known: String,
    },
    /// Two instances share a name.
    #[error("plugins[{index}]: duplicate plugin name '{name}'; give one of them another name")]
    DuplicateName {
        /// Index in [`ProfileSpec::plugins`].
        index: usize,
        /// The name.
        name: String,
    },
    /// A second picker.
    #[error("plugins[{index}]: '{name}' is a second picker; a profile takes one")]
    SecondPicker {
        /// Index in [`ProfileSpec::plugins`].
        index: usize,
        /// The name.
        name: String,
    },
    /// A weight that is not a finite number.
    #[error("plugins[{index}].weight of '{name}' is {weight}; it must be a finite number")]
    Weight {
        /// Index in [`ProfileSpec::plugins`].
        index: usize,
        /// The name.
        name: String,
        /// The weight given.
        weight: f64,
    },
    /// The plugin refuses its parameters.
    #[error("plugins[{index}].parameters of '{name}' (type {kind}): {source}")]
    Parameters {
        /// Index in [`ProfileSpec::plugins`].
        index: usize,
        /// The name.
        name: String,
        /// The type.
        kind: String,
        /// What is wrong.
        source: ParameterError,
    },
}

/// How plugins of one type are made. Each plugin file holds one.
#[derive(Clone, Copy, Debug)]
pub struct Factory {
    /// The type string.
    pub kind: &'static str,
    /// Builds an instance; parameters are `null` when none are given.
    pub build: fn(&Value) -> Result<Plugin, ParameterError>,
}

/// Decodes parameters strictly; `null` and absent mean the defaults.
pub(crate) fn parameters<T: DeserializeOwned + Default>(
    value: &Value,
) -> Result<T, ParameterError> {
    if value.is_null() {
        return Ok(T::default());
    }
    Ok(T::deserialize(value)?)
}

/// Parameters of a plugin that takes none.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// Known plugin types.
#[derive(Clone, Debug)]
pub struct Registry {
    factories: Vec<Factory>,
}

impl Registry {
    /// All plugin types of this crate.
    #[must_use]
    pub fn standard() -> Self {
        let factories = [filters::FACTORIES, scorers::FACTORIES, pickers::FACTORIES].concat();
        Self { factories }
    }

    /// Adds a type; a later one of the same name wins.
    pub fn register(&mut self, factory: Factory) {
        self.factories.insert(0, factory);
    }

    /// All type strings.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.factories.iter().map(|factory| factory.kind)
    }

    /// Builds a profile. Without a picker it gets `max-score-picker`.
    ///
    /// # Errors
    /// The first problem of the specification, with its place.
    pub fn profile(&self, spec: &ProfileSpec) -> Result<Profile, ConfigError> {
        let mut profile = Profile::empty();
        let mut picker = None;
        let mut names: Vec<&str> = Vec::new();
        for (index, plugin) in spec.plugins.iter().enumerate() {
            let name = plugin.name.as_deref().unwrap_or(&plugin.kind);
            if names.contains(&name) {
                return Err(ConfigError::DuplicateName {
                    index,
                    name: name.to_owned(),
                });
            }
            names.push(name);
            let named = Arc::<str>::from(name);
            match self.build(index, name, plugin)? {
                Plugin::Filter(plugin) => profile.filters.push(Named {
                    name: named,
                    plugin,
                }),
                Plugin::Scorer(scorer) => {
                    let weight = weight(index, name, plugin.weight)?;
                    profile.scorers.push(Weighted {
                        name: named,
                        weight,
                        plugin: scorer,
                    });
                }
                Plugin::Picker(_) if picker.is_some() => {
                    return Err(ConfigError::SecondPicker {
                        index,
                        name: name.to_owned(),
                    });
                }
                Plugin::Picker(plugin) => picker = Some(plugin),
            }
        }
        if let Some(picker) = picker {
            profile.picker = picker;
        }
        profile.seal();
        Ok(profile)
    }

    fn build(&self, index: usize, name: &str, spec: &PluginSpec) -> Result<Plugin, ConfigError> {
        let Some(factory) = self
            .factories
            .iter()
            .find(|factory| factory.kind == spec.kind)
        else {
            let mut known: Vec<_> = self.kinds().collect();
            known.sort_unstable();
            let known = known.join(", ");
            return Err(ConfigError::UnknownKind {
                index,
                kind: spec.kind.clone(),
                known,
            });
        };
        (factory.build)(&spec.parameters).map_err(|source| ConfigError::Parameters {
            index,
            name: name.to_owned(),
            kind: spec.kind.clone(),
            source,
        })
    }
}

fn weight(index: usize, name: &str, weight: Option<f64>) -> Result<f32, ConfigError> {
    let weight = weight.unwrap_or(1.0);
    let narrow = weight as f32;
    if narrow.is_finite() {
        Ok(narrow)
    } else {
        Err(ConfigError::Weight {
            index,
            name: name.to_owned(),
            weight,
        })
    }
}

#[cfg(test)]
mod tests;
