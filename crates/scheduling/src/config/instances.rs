//! Making plugin instances.

use std::cell::Cell;
use std::sync::Arc;

use resources::{Dialect, EndpointPickerConfig, PluginConfig};
use serde_json::Value;

use super::{BuildOptions, Findings};
use crate::kind::{Build, Handouts, Instance, Kind, Stability};
use crate::{Decider, Registry, Scheduler};

/// One made plugin.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) given: Value,
    /// Parameters with defaults filled in.
    pub(crate) parameters: Value,
    pub(crate) instance: Instance,
    /// Added by a default rather than configured.
    pub(crate) added: bool,
    /// It looked at no other plugin while it was made.
    alone: bool,
}

/// All plugins of a configuration.
pub(super) struct Instances<'r> {
    registry: &'r Registry,
    options: BuildOptions,
    previous: &'r [Made],
    pub(super) handouts: Handouts,
    pub(super) made: Vec<Made>,
}

/// Where an instance stands while those it refers to are made before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Begun,
    Done,
}

impl<'r> Instances<'r> {
    pub(super) fn new(
        registry: &'r Registry,
        options: BuildOptions,
        previous: Option<&'r Scheduler>,
    ) -> Self {
        Self {
            registry,
            options,
            previous: previous.map_or(&[], |previous| &previous.effective.made),
            // Slots and sources keep their numbers, so that instances can go on.
            handouts: previous.map_or_else(Handouts::default, |previous| {
                previous.layout.handouts.clone()
            }),
            made: Vec::new(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Made> {
        self.made.iter().find(|made| *made.name == *name)
    }

    /// Makes what is configured, each after those it refers to.
    pub(super) fn make_configured(
        &mut self,
        config: &EndpointPickerConfig,
        findings: &mut Findings<'_>,
    ) {
        let mut progress = vec![Progress::Waiting; config.plugins.len()];
        for index in 0..config.plugins.len() {
            self.make_one(index, config, &mut progress, findings);
        }
        // Others than references do not bring their order into the result.
        let place = |made: &Made| config.plugins.iter().position(|p| *p.name == *made.name);
        self.made.sort_by_key(place);
    }

    fn make_one(
        &mut self,
        index: usize,
        config: &EndpointPickerConfig,
        progress: &mut [Progress],
        findings: &mut Findings<'_>,
    ) {
        if progress[index] != Progress::Waiting {
            return;
        }
        progress[index] = Progress::Begun;
        let plugin = &config.plugins[index];
        let path = format!("plugins[{index}]");
        if let Some(kind) = self.kind_of(plugin, index, config, &path, findings) {
            for name in kind.references(&plugin.parameters) {
                let Some(other) = config.plugins.iter().position(|p| p.name == name) else {
                    continue;
                };
                if progress[other] == Progress::Begun {
                    let message = format!(
                        "failed to build plugin dependency graph: cycle detected between '{}' and '{name}'",
                        plugin.name
                    );
                    findings.error(&path, message);
                } else {
                    self.make_one(other, config, progress, findings);
                }
            }
            self.make(&kind, plugin, &path, config, false, findings);
        }
        progress[index] = Progress::Done;
    }

    fn kind_of(
        &self,
        plugin: &PluginConfig,
        index: usize,
        config: &EndpointPickerConfig,
        path: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Kind> {
        if plugin.kind.is_empty() {
            let message = format!("plugin '{}' is missing a type", plugin.name);
            findings.error(path, message);
            return None;
        }
        let earlier = &config.plugins[..index];
        if earlier.iter().any(|other| other.name == plugin.name) {
            let message = format!(
                "duplicate plugin name '{}', give one of them another name",
                plugin.name
            );
            findings.error(&format!("{path}.name"), message);
            return None;
        }
        let kind = self.registry.get(&plugin.kind).copied();
        if kind.is_none() {
            let message = format!(
                "plugin type '{}' is not registered; similar types are {}",
                plugin.kind,
                self.registry.suggestions(&plugin.kind)
            );
            findings.error(&format!("{path}.type"), message);
        }
        kind
    }

    /// Makes a plugin that a default asks for, under the name of its type and with no parameters,
    /// unless there is one of that name.
    pub(super) fn add(
        &mut self,
        kind: &str,
        config: &mut EndpointPickerConfig,
        findings: &mut Findings<'_>,
    ) {
        self.add_with(kind, Value::Null, config, findings);
    }

    /// The same with parameters.
    pub(super) fn add_with(
        &mut self,
        kind: &str,
        parameters: Value,
        config: &mut EndpointPickerConfig,
        findings: &mut Findings<'_>,
    ) {
        if self.get(kind).is_some() {
            return;
        }
        let Some(known) = self.registry.get(kind).copied() else {
            let message = format!("plugin type '{kind}' is not registered");
            findings.error("plugins", message);
            return;
        };
        let plugin = PluginConfig {
            name: kind.to_owned(),
            kind: kind.to_owned(),
            parameters,
        };
        config.plugins.push(plugin.clone());
        self.make(&known, &plugin, "plugins", config, true, findings);
    }

    fn make(
        &mut self,
        kind: &Kind,
        plugin: &PluginConfig,
        path: &str,
        config: &EndpointPickerConfig,
        added: bool,
        findings: &mut Findings<'_>,
    ) {
        if kind.stability == Stability::Alpha && !self.options.allow_experimental {
            let message = format!(
                "plugin '{}' (type: {}) has Alpha stability level, allow it with --allow-experimental-plugins",
                plugin.name, kind.name
            );
            findings.error(&format!("{path}.type"), message);
        }
        if let Some(instead) = kind.deprecated {
            let message = format!("plugin type '{}' is deprecated: {instead}", kind.name);
            findings.warning(&format!("{path}.type"), message);
        }
        if let Some(same) = self.same_before(kind, plugin) {
            let same = Made { added, ..same };
            self.made.push(same);
            return;
        }
        let made = &self.made;
        let deciders = |name: &str| -> Option<Arc<dyn Decider>> {
            let found = made.iter().find(|made| *made.name == *name)?;
            found.instance.decider.clone()
        };
        let mut build = Build {
            name: &plugin.name,
            kind: kind.name,
            given: &plugin.parameters,
            lenient: kind.lenient || config.dialect == Dialect::Gie,
            plugins: &config.plugins,
            deciders: &deciders,
            handouts: &mut self.handouts,
            faults: Vec::new(),
            warnings: Vec::new(),
            effective: Value::Null,
            alone: Cell::new(true),
        };
        let instance = kind.make(&mut build);
        let Build {
            faults,
            warnings,
            effective: parameters,
            alone,
            ..
        } = build;
        let full = |field: &str| match field {
            "" => format!("{path}.parameters"),
            field => format!("{path}.parameters.{field}"),
        };
        for warning in warnings {
            findings.warning(&full(&warning.path), warning.message);
        }
        for fault in faults {
            let message = format!(
                "failed to create plugin '{}' (type: {}): {}",
                plugin.name, kind.name, fault.message
            );
            findings.error(&full(&fault.path), message);
        }
        self.made.push(Made {
            name: plugin.name.as_str().into(),
            kind: *kind,
            given: plugin.parameters.clone(),
            parameters,
            instance,
            added,
            alone: alone.get(),
        });
    }

    /// The same plugin of the scheduler before, unless it looked at others, which may have changed.
    fn same_before(&self, kind: &Kind, plugin: &PluginConfig) -> Option<Made> {
        let same = self.previous.iter().find(|made| {
            *made.name == *plugin.name
                && made.kind.name == kind.name
                && made.given == plugin.parameters
        });
        same.filter(|made| made.alone).cloned()
    }
}
