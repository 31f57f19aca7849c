//! The configuration in force, and what it asks of the rim.

use std::sync::Arc;

use resources::{EndpointPickerConfig, FlowControl, Gates, PluginRef};

use super::Findings;
use super::instances::{Instances, Made};
use crate::settings::{
    Detector, Discovery, Extractor, Fairness, Ordering, Setting, Source, UsageLimit,
};

/// A data source with what is read from it.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The source.
    pub source: Source,
    /// What is read from what it brings.
    pub extractors: Vec<Extractor>,
}

/// Flow control with its policies found.
#[derive(Clone, Debug)]
pub struct FlowPolicies {
    /// Limits and times.
    pub limits: FlowControl,
    /// How much of the pool each priority may use.
    pub usage: UsageLimit,
}

/// The configuration in force, with all defaults filled in, and what it asks of the rim. Empty for
/// schedulers that are not made of a configuration.
#[derive(Debug, Default)]
pub struct Effective {
    config: Option<EndpointPickerConfig>,
    pub(crate) made: Vec<Made>,
}

impl Effective {
    pub(super) fn of(mut config: EndpointPickerConfig, made: Vec<Made>) -> Self {
        for plugin in &mut config.plugins {
            let known = made.iter().find(|made| *made.name == *plugin.name);
            if let Some(known) = known {
                plugin.parameters = shown(known);
            }
        }
        Self {
            config: Some(config),
            made,
        }
    }

    /// The configuration; `None` for schedulers that are not made of one.
    #[must_use]
    pub fn config(&self) -> Option<&EndpointPickerConfig> {
        self.config.as_ref()
    }

    /// Names and types of all plugins, those added by defaults included. The type is the one that
    /// instances say they are, which for some is not the one configured.
    pub fn plugins(&self) -> impl Iterator<Item = (&str, &str)> {
        let made = self.made.iter();
        made.map(|made| (&*made.name, made.kind.reports.unwrap_or(made.kind.name)))
    }

    /// Names of the plugins that were added by defaults.
    pub fn added(&self) -> impl Iterator<Item = &str> {
        let made = self.made.iter().filter(|made| made.added);
        made.map(|made| &*made.name)
    }

    /// What the plugin of that name asks of the rim.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        let made = self.made.iter().find(|made| *made.name == *name)?;
        made.instance.setting.as_ref()
    }

    /// What all plugins ask of the rim, with their names.
    pub fn settings(&self) -> impl Iterator<Item = (&Arc<str>, &Setting)> {
        let made = self.made.iter();
        made.filter_map(|made| Some((&made.name, made.instance.setting.as_ref()?)))
    }

    /// Types of the parsers, in order of preference.
    #[must_use]
    pub fn parsers(&self) -> Vec<&'static str> {
        let refs = self
            .config
            .iter()
            .flat_map(|config| &config.request_handler.parsers);
        refs.filter_map(|parser| match self.setting(&parser.plugin_ref)? {
            Setting::Parser(kind) => Some(*kind),
            _ => None,
        })
        .collect()
    }

    /// What tells how full the pool is.
    #[must_use]
    pub fn detector(&self) -> Detector {
        let flow = self
            .config
            .as_ref()
            .and_then(|config| config.flow_control.as_ref());
        let detector = flow.and_then(|flow| flow.saturation_detector.as_ref());
        match detector.and_then(|detector| self.setting(&detector.plugin_ref)) {
            Some(Setting::Detector(detector)) => detector.clone(),
            _ => Detector::default(),
        }
    }

    /// The feature gates.
    #[must_use]
    pub fn gates(&self) -> Gates {
        self.config
            .as_ref()
            .map(|config| config.gates)
            .unwrap_or_default()
    }

    /// Where endpoints are found, if not by the pool.
    #[must_use]
    pub fn discovery(&self) -> Option<&Discovery> {
        let discovery = self.config.as_ref()?.data_layer.discovery.as_ref()?;
        match self.setting(&discovery.plugin_ref)? {
            Setting::Discovery(discovery) => Some(discovery),
            _ => None,
        }
    }

    /// Where the state of endpoints comes from.
    #[must_use]
    pub fn sources(&self) -> Vec<Binding> {
        let sources = self
            .config
            .iter()
            .flat_map(|config| &config.data_layer.sources);
        sources
            .filter_map(|source| {
                let Setting::Source(found) = self.setting(&source.plugin_ref)? else {
                    return None;
                };
                let extractors = source.extractors.iter();
                Some(Binding {
                    source: found.clone(),
                    extractors: extractors.filter_map(|it| self.extractor(it)).collect(),
                })
            })
            .collect()
    }

    fn extractor(&self, extractor: &PluginRef) -> Option<Extractor> {
        match self.setting(&extractor.plugin_ref)? {
            Setting::Extractor(extractor) => Some(extractor.clone()),
            Setting::PrecisePrefix(_) => Some(Extractor::PrefixEvents),
            _ => None,
        }
    }

    /// Flow control, when its gate is on.
    #[must_use]
    pub fn flow(&self) -> Option<FlowPolicies> {
        let config = self
            .config
            .as_ref()
            .filter(|config| config.gates.flow_control)?;
        let limits = config.flow_control.clone().unwrap_or_default();
        let usage = limits.usage_limit_policy_plugin_ref.as_deref();
        let usage = match usage.and_then(|name| self.setting(name)) {
            Some(Setting::UsageLimit(usage)) => usage.clone(),
            _ => UsageLimit::default(),
        };
        Some(FlowPolicies { limits, usage })
    }

    /// The fairness policy of that name; the usual one for `None`.
    #[must_use]
    pub fn fairness(&self, name: Option<&str>) -> Fairness {
        match name.and_then(|name| self.setting(name)) {
            Some(Setting::Fairness(fairness)) => fairness.clone(),
            _ => Fairness::default(),
        }
    }

    /// The ordering policy of that name; the usual one for `None`.
    #[must_use]
    pub fn ordering(&self, name: Option<&str>) -> Ordering {
        match name.and_then(|name| self.setting(name)) {
            Some(Setting::Ordering(ordering)) => *ordering,
            _ => Ordering::default(),
        }
    }
}

/// Parameters worth showing.
fn shown(made: &Made) -> serde_json::Value {
    match &made.parameters {
        serde_json::Value::Object(fields) if fields.is_empty() => serde_json::Value::Null,
        parameters => parameters.clone(),
    }
}

/// Checks that references outside of profiles lead to plugins of the right kind.
pub(super) fn check(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    findings: &mut Findings<'_>,
) {
    check_detector(config, instances, findings);
    for (index, parser) in config.request_handler.parsers.iter().enumerate() {
        let path = format!("requestHandler.parsers[{index}].pluginRef");
        let name = parser.plugin_ref.as_str();
        match setting(instances, name) {
            Found::Nothing => {
                let message = format!("parser references undefined plugin '{name}'");
                findings.error(&path, message);
            }
            Found::Setting(Setting::Parser(_)) | Found::Broken => {}
            _ => findings.error(&path, format!("plugin '{name}' is not a parser plugin")),
        }
    }
    check_data_layer(config, instances, findings);
    if config.gates.flow_control {
        check_flow(config, instances, findings);
    }
}

/// What stands behind a name.
enum Found<'i> {
    Nothing,
    /// A plugin that could not be made.
    Broken,
    /// A plugin without a setting.
    Plain,
    Setting(&'i Setting),
}

fn setting<'i>(instances: &'i Instances<'_>, name: &str) -> Found<'i> {
    match instances.get(name) {
        None => Found::Nothing,
        Some(made) => match &made.instance.setting {
            Some(setting) => Found::Setting(setting),
            None if made.parameters.is_null() => Found::Broken,
            None => Found::Plain,
        },
    }
}

fn check_detector(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    findings: &mut Findings<'_>,
) {
    let flow = config.flow_control.as_ref();
    let Some(detector) = flow.and_then(|flow| flow.saturation_detector.as_ref()) else {
        return;
    };
    let path = "flowControl.saturationDetector.pluginRef";
    let name = detector.plugin_ref.as_str();
    match setting(instances, name) {
        _ if name.is_empty() => {
            findings.error(path, "saturation detector plugin reference is empty")
        }
        Found::Nothing => {
            let message = format!("saturation detector references undefined plugin '{name}'");
            findings.error(path, message);
        }
        Found::Setting(Setting::Detector(_)) | Found::Broken => {}
        _ => {
            let message = format!(
                "plugin '{name}' is not a fwkfc.SaturationDetector, want one such as utilization-detector"
            );
            findings.error(path, message);
        }
    }
}

fn check_data_layer(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    findings: &mut Findings<'_>,
) {
    let layer = &config.data_layer;
    for (index, source) in layer.sources.iter().enumerate() {
        let path = format!("dataLayer.sources[{index}]");
        let name = source.plugin_ref.as_str();
        match setting(instances, name) {
            Found::Setting(Setting::Source(_)) | Found::Broken => {}
            Found::Nothing => {
                let message = format!("source references undefined plugin '{name}'");
                findings.error(&format!("{path}.pluginRef"), message);
            }
            _ => {
                let message = format!(
                    "the plugin '{name}' is not a fwkdl.DataSource, want one such as metrics-data-source"
                );
                findings.error(&format!("{path}.pluginRef"), message);
            }
        }
        let mut kinds: Vec<&str> = Vec::new();
        for (at, extractor) in source.extractors.iter().enumerate() {
            let path = format!("{path}.extractors[{at}].pluginRef");
            check_extractor(instances, extractor, &path, &mut kinds, findings);
        }
    }
    if let Some(discovery) = &layer.discovery {
        let name = discovery.plugin_ref.as_str();
        if !matches!(
            setting(instances, name),
            Found::Setting(Setting::Discovery(_)) | Found::Broken
        ) {
            let message =
                format!("'{name}' is not a discovery plugin, want one such as file-discovery");
            findings.error("dataLayer.discovery.pluginRef", message);
        }
    }
    for (path, given) in [
        ("dataLayer.peerDiscovery", layer.peer_discovery.is_some()),
        (
            "dataLayer.crossReplicaSyncerPluginRef",
            layer.cross_replica_syncer_plugin_ref.is_some(),
        ),
    ] {
        if given {
            findings.error(path, "no plugin of this kind exists");
        }
    }
}

fn check_extractor<'i>(
    instances: &'i Instances<'_>,
    extractor: &PluginRef,
    path: &str,
    kinds: &mut Vec<&'i str>,
    findings: &mut Findings<'_>,
) {
    let name = extractor.plugin_ref.as_str();
    match (setting(instances, name), instances.get(name)) {
        (Found::Setting(Setting::Extractor(_) | Setting::PrecisePrefix(_)), Some(made)) => {
            if kinds.contains(&made.kind.name) {
                let message = format!(
                    "extractor type '{}' is bound twice to the source",
                    made.kind.name
                );
                findings.error(path, message);
            }
            kinds.push(made.kind.name);
        }
        (Found::Broken, _) => {}
        (Found::Nothing, _) => {
            findings.error(path, format!("extractor '{name}' is not registered"));
        }
        // Some producers follow endpoints in the reference; here they are told in any case.
        (_, Some(made)) if made.instance.keeper.is_some() || made.instance.producer.is_some() => {}
        _ => findings.error(path, format!("plugin '{name}' is not an extractor")),
    }
}

fn check_flow(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(flow) = &config.flow_control else {
        return;
    };
    let mut policy =
        |path: String, name: Option<&String>, what: &str, fits: fn(&Setting) -> bool| {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                return;
            };
            match setting(instances, name) {
                Found::Setting(setting) if fits(setting) => {}
                Found::Broken => {}
                Found::Nothing => findings.error(&path, format!("plugin \"{name}\" not found")),
                _ => findings.error(
                    &path,
                    format!("plugin \"{name}\" does not implement {what}"),
                ),
            }
        };
    let is_fairness = |setting: &Setting| matches!(setting, Setting::Fairness(_));
    let is_ordering = |setting: &Setting| matches!(setting, Setting::Ordering(_));
    let mut band = |path: &str, fairness: Option<&String>, ordering: Option<&String>| {
        policy(
            format!("{path}.fairnessPolicyRef"),
            fairness,
            "FairnessPolicy",
            is_fairness,
        );
        policy(
            format!("{path}.orderingPolicyRef"),
            ordering,
            "OrderingPolicy",
            is_ordering,
        );
    };
    for (index, own) in flow.priority_bands.iter().enumerate() {
        let path = format!("flowControl.priorityBands[{index}]");
        band(
            &path,
            own.fairness_policy_ref.as_ref(),
            own.ordering_policy_ref.as_ref(),
        );
    }
    for (path, usual) in [
        (
            "flowControl.defaultPriorityBand",
            &flow.default_priority_band,
        ),
        (
            "flowControl.defaultNegativePriorityBand",
            &flow.default_negative_priority_band,
        ),
    ] {
        if let Some(usual) = usual {
            band(
                path,
                usual.fairness_policy_ref.as_ref(),
                usual.ordering_policy_ref.as_ref(),
            );
        }
    }
    let usage = flow.usage_limit_policy_plugin_ref.as_ref();
    let is_usage = |setting: &Setting| matches!(setting, Setting::UsageLimit(_));
    let path = "flowControl.usageLimitPolicyPluginRef".to_owned();
    policy(path, usage, "UsageLimitPolicy", is_usage);
}
