//! What is added to a configuration that leaves it out.

use resources::{EndpointPickerConfig, PluginRef, ProfileConfig, ProfilePlugin, SourceConfig};

use super::Findings;
use super::instances::{Instances, Made};
use crate::Roles;

const DETECTOR: &str = "utilization-detector";
const HANDLER: &str = "single-profile-handler";
const PICKER: &str = "max-score-picker";
const POLICIES: [&str; 3] = [
    "fcfs-ordering-policy",
    "global-strict-fairness-policy",
    "static-usage-limit-policy",
];
const METRICS_SOURCE: &str = "metrics-data-source";
const METRICS_EXTRACTOR: &str = "core-metrics-extractor";

/// Fills in profiles, flow-control policies, parsers, detector and data layer, in this order.
pub(super) fn fill(
    config: &mut EndpointPickerConfig,
    instances: &mut Instances<'_>,
    findings: &mut Findings<'_>,
) {
    profiles(config, instances, findings);
    for policy in POLICIES {
        instances.add(policy, config, findings);
    }
    parsers(config, instances, findings);
    detector(config, instances, findings);
    data_layer(config, instances, findings);
}

fn profiles(
    config: &mut EndpointPickerConfig,
    instances: &mut Instances<'_>,
    findings: &mut Findings<'_>,
) {
    if config.scheduling_profiles.is_empty() {
        // Detectors are filters too, but in such a profile nobody has asked them to be.
        let belongs = |made: &&Made| {
            let it = &made.instance;
            let rates = it.filter.is_some() || it.scorer.is_some() || it.picker.is_some();
            rates && !made.kind.roles.has(Roles::DETECTOR)
        };
        let plugins = instances.made.iter().filter(belongs);
        config.scheduling_profiles.push(ProfileConfig {
            name: "default".to_owned(),
            plugins: plugins
                .map(|made| ProfilePlugin {
                    plugin_ref: made.name.to_string(),
                    weight: None,
                })
                .collect(),
        });
    }
    let has_handler = |made: &Made| made.instance.handler.is_some();
    if config.scheduling_profiles.len() == 1 && !instances.made.iter().any(has_handler) {
        instances.add(HANDLER, config, findings);
    }
    if !instances
        .made
        .iter()
        .any(|made| made.instance.picker.is_some())
    {
        instances.add(PICKER, config, findings);
    }
    let picks = |made: &&Made| made.instance.picker.is_some();
    let first = instances
        .made
        .iter()
        .find(picks)
        .map(|made| made.name.to_string());
    for profile in &mut config.scheduling_profiles {
        let picker = |plugin: &ProfilePlugin| instances.get(&plugin.plugin_ref).filter(picks);
        if !profile
            .plugins
            .iter()
            .any(|plugin| picker(plugin).is_some())
            && let Some(first) = &first
        {
            profile.plugins.push(ProfilePlugin {
                plugin_ref: first.clone(),
                weight: None,
            });
        }
        for plugin in &mut profile.plugins {
            let made = instances.get(&plugin.plugin_ref);
            if made.is_some_and(|made| made.instance.scorer.is_some()) {
                plugin.weight.get_or_insert(1.0);
            }
        }
    }
}

fn parsers(
    config: &mut EndpointPickerConfig,
    instances: &mut Instances<'_>,
    findings: &mut Findings<'_>,
) {
    if config.request_handler.parsers.is_empty() {
        let usual = crate::parsers::USUAL.into_iter();
        config.request_handler.parsers = usual.map(PluginRef::to).collect();
    }
    for parser in config.request_handler.parsers.clone() {
        // A name nobody has may be that of a type.
        if instances.get(&parser.plugin_ref).is_none() && is_parser(&parser.plugin_ref) {
            instances.add(&parser.plugin_ref, config, findings);
        }
    }
}

fn is_parser(kind: &str) -> bool {
    crate::parsers::KINDS.iter().any(|known| known.name == kind)
}

fn detector(
    config: &mut EndpointPickerConfig,
    instances: &mut Instances<'_>,
    findings: &mut Findings<'_>,
) {
    let flow = config.flow_control.get_or_insert_default();
    let detector = flow.saturation_detector.get_or_insert_default();
    if detector.plugin_ref.is_empty() {
        detector.plugin_ref = DETECTOR.to_owned();
    }
    if detector.plugin_ref == DETECTOR {
        instances.add(DETECTOR, config, findings);
    }
}

fn data_layer(
    config: &mut EndpointPickerConfig,
    instances: &mut Instances<'_>,
    findings: &mut Findings<'_>,
) {
    if config.data_layer.inject_defaults == Some(false) {
        return;
    }
    // By type: the reference goes by name, and reads metrics twice when the source has another.
    let is_metrics = |source: &SourceConfig| {
        let made = instances.get(&source.plugin_ref);
        made.is_some_and(|made| made.kind.name == METRICS_SOURCE)
    };
    if config.data_layer.sources.iter().any(is_metrics) {
        return;
    }
    instances.add(METRICS_SOURCE, config, findings);
    instances.add(METRICS_EXTRACTOR, config, findings);
    config.data_layer.sources.push(SourceConfig {
        plugin_ref: METRICS_SOURCE.to_owned(),
        extractors: vec![PluginRef::to(METRICS_EXTRACTOR)],
    });
}
