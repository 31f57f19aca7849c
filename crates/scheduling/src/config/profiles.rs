//! Profiles and hooks, put together from instances.

use std::sync::Arc;

use resources::{EndpointPickerConfig, ProfileConfig, ProfilePlugin};

use super::instances::{Instances, Made};
use super::layout::Layout;
use super::{BuildOptions, Effective, Findings};
use crate::filters::Health;
use crate::profile::{Named, Weighted};
use crate::scheduler::Hooks;
use crate::{Profile, ProfileSet, Scheduler};

/// Checks names and references of profiles.
pub(super) fn check(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    findings: &mut Findings<'_>,
) {
    for (index, profile) in config.scheduling_profiles.iter().enumerate() {
        let path = format!("schedulingProfiles[{index}]");
        if profile.name.is_empty() {
            findings.error(&path, format!("{path} is missing a name"));
        }
        let earlier = &config.scheduling_profiles[..index];
        if !profile.name.is_empty() && earlier.iter().any(|other| other.name == profile.name) {
            let message = format!("{path} has duplicate name '{}'", profile.name);
            findings.error(&format!("{path}.name"), message);
        }
        for (at, plugin) in profile.plugins.iter().enumerate() {
            check_ref(
                config,
                instances,
                plugin,
                &format!("{path}.plugins[{at}]"),
                findings,
            );
        }
        check_picker(profile, instances, &path, findings);
    }
    if config.scheduling_profiles.len() > ProfileSet::MOST {
        let message = format!("has more than {} profiles", ProfileSet::MOST);
        findings.error("schedulingProfiles", message);
    }
    check_handler(config, instances, findings);
}

fn check_ref(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    plugin: &ProfilePlugin,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let name = plugin.plugin_ref.as_str();
    let known =
        instances.get(name).is_some() || config.plugins.iter().any(|plugin| plugin.name == name);
    if name.is_empty() {
        findings.error(path, format!("{path} is missing a 'pluginRef'"));
    } else if !known {
        let names: Vec<&str> = config.plugins.iter().map(|p| p.name.as_str()).collect();
        let message = format!(
            "{path} references undefined plugin '{name}', defined are {}",
            names.join(", ")
        );
        findings.error(&format!("{path}.pluginRef"), message);
    }
    if let Some(weight) = plugin.weight
        && !(weight as f32).is_finite()
    {
        let message = format!("weight is {weight}, want a finite number");
        findings.error(&format!("{path}.weight"), message);
    }
}

fn check_picker(
    profile: &ProfileConfig,
    instances: &Instances<'_>,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let picks = |plugin: &ProfilePlugin| {
        let made = instances.get(&plugin.plugin_ref);
        made.is_some_and(|made| made.instance.picker.is_some())
    };
    let pickers: Vec<usize> = (0..profile.plugins.len())
        .filter(|at| picks(&profile.plugins[*at]))
        .collect();
    if let [first, second, ..] = pickers.as_slice() {
        let message = format!(
            "profile '{}' already have a registered picker plugin, '{}'; want one picker",
            profile.name, profile.plugins[*first].plugin_ref
        );
        findings.error(&format!("{path}.plugins[{second}].pluginRef"), message);
    }
}

fn check_handler(
    config: &EndpointPickerConfig,
    instances: &Instances<'_>,
    findings: &mut Findings<'_>,
) {
    let mut handlers = instances
        .made
        .iter()
        .filter(|made| made.instance.handler.is_some());
    let Some(handler) = handlers.next() else {
        // A handler that could not be made has said so already.
        if !findings.has_errors() {
            let message = "no profile handler configured, want one such as disagg-profile-handler for more than one profile";
            findings.error("schedulingProfiles", message);
        }
        return;
    };
    let path = |made: &Made| {
        let index = config
            .plugins
            .iter()
            .position(|plugin| *plugin.name == *made.name);
        index.map_or_else(|| "plugins".to_owned(), |index| format!("plugins[{index}]"))
    };
    if let Some(second) = handlers.next() {
        let message = format!(
            "multiple profile handlers found, '{}' and '{}'; want one",
            handler.name, second.name
        );
        findings.error(&path(second), message);
    }
    let names: Vec<Arc<str>> = names(config);
    if let Some(it) = &handler.instance.handler
        && let Err(message) = it.accepts(&names)
    {
        findings.error(&path(handler), message);
    }
}

fn names(config: &EndpointPickerConfig) -> Vec<Arc<str>> {
    let profiles = config.scheduling_profiles.iter();
    profiles
        .map(|profile| profile.name.as_str().into())
        .collect()
}

fn profile(config: &ProfileConfig, instances: &Instances<'_>) -> Profile {
    let mut profile = Profile::empty(&config.name);
    let listed = config.plugins.iter();
    let made: Vec<(&Made, Option<f64>)> = listed
        .filter_map(|plugin| Some((instances.get(&plugin.plugin_ref)?, plugin.weight)))
        .collect();
    // Nobody wants requests at servers that do not answer. It never empties the list.
    if !made
        .iter()
        .any(|(made, _)| made.kind.name == "health-filter")
    {
        profile.filters.push(Named {
            name: "health-filter".into(),
            plugin: Arc::new(Health {}),
        });
    }
    for (made, weight) in made {
        let name = Arc::clone(&made.name);
        if let Some(plugin) = made.instance.filter.clone() {
            profile.filters.push(Named { name, plugin });
        }
        let name = Arc::clone(&made.name);
        if let Some(plugin) = made.instance.scorer.clone() {
            let weight = weight.unwrap_or(1.0) as f32;
            profile.scorers.push(Weighted {
                name,
                weight,
                plugin,
            });
        }
        if let Some(plugin) = made.instance.picker.clone() {
            profile.picker = plugin;
        }
    }
    profile.seal();
    profile
}

fn hooks(instances: &Instances<'_>) -> Hooks {
    let mut hooks = Hooks::default();
    for made in &instances.made {
        let it = made.instance.clone();
        let name = || Arc::clone(&made.name);
        macro_rules! hang {
            ($($role:ident => $list:ident),+) => {
                $(if let Some(plugin) = it.$role {
                    hooks.$list.push(Named { name: name(), plugin });
                })+
            };
        }
        hang!(
            headers => headers,
            screener => screeners,
            producer => producers,
            admitter => admitters,
            placed => placed,
            answered => answered,
            reporter => reporters,
            keeper => keepers
        );
    }
    hooks
}

/// Puts the scheduler together.
pub(super) fn assemble(
    config: EndpointPickerConfig,
    instances: Instances<'_>,
    options: BuildOptions,
    previous: Option<&Scheduler>,
    findings: &mut Findings<'_>,
) -> Option<Scheduler> {
    let profiles: Vec<Profile> = config
        .scheduling_profiles
        .iter()
        .map(|config| profile(config, &instances))
        .collect();
    let mut handlers = instances.made.iter();
    let handler = handlers.find_map(|made| {
        let plugin = made.instance.handler.clone()?;
        Some(Named {
            name: Arc::clone(&made.name),
            plugin,
        })
    })?;
    let hooks = hooks(&instances);
    let layout = Layout::of(&instances, &hooks, options, previous, findings);
    Some(Scheduler {
        names: names(&config),
        profiles,
        handler,
        hooks,
        layout,
        effective: Effective::of(config, instances.made),
    })
}
