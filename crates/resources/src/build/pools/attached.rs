//! Objectives and rewrites, which name the pool they belong to.

use super::Pools;
use crate::objects::{Loaded, ObjectiveSpec, Objects, PoolRef, RewriteRuleSpec, RewriteSpec};
use crate::report::{Place, Report};
use crate::{ModelRewrites, ObjectName, Pool, RewriteRule, RewriteTarget};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The pool that an objective or rewrite belongs to.
fn owner<'p>(
    reference: &PoolRef,
    place: &Place,
    name: &ObjectName,
    objects: &Objects,
    pools: &'p mut Pools,
    report: &mut Report,
) -> Option<&'p mut Pool> {
    let pool_name = ObjectName::new(Arc::clone(&name.namespace), reference.name.as_str());
    if reference.kind() != "InferencePool" {
        let message = format!(
            "`{}` is not supported, want InferencePool",
            reference.kind()
        );
        report.warning(place, "spec.poolRef.kind", message);
        return None;
    }
    let entry = pools
        .get_mut(&pool_name)
        .filter(|entry| entry.is_in(reference.group()));
    if entry.is_none() && !objects.is_broken_pool(&pool_name) {
        let message = format!(
            "there is no InferencePool {pool_name} of group {}, so this has no effect",
            reference.group()
        );
        report.warning(place, "spec.poolRef", message);
    }
    // No one else holds the pool yet, so this never copies it.
    entry.map(|entry| Arc::make_mut(&mut entry.pool))
}

/// Adds the priorities of all objectives to their pools.
pub(super) fn add_objectives(
    objectives: &[Loaded<ObjectiveSpec>],
    objects: &Objects,
    pools: &mut Pools,
    report: &mut Report,
) {
    for objective in objectives
        .iter()
        .filter(|objective| !objective.meta.deleting)
    {
        let (place, name, spec) = (&objective.place, &objective.name, &objective.spec);
        let Some(pool) = owner(&spec.pool_ref, place, name, objects, pools, report) else {
            continue;
        };
        let priority = spec.priority.unwrap_or(0);
        let key = Arc::clone(&name.name);
        if pool.objectives.contains_key(&key) {
            let message = "ignored: there is an llm-d.ai InferenceObjective of the same name";
            report.warning(place, "", message);
            continue;
        }
        pool.objectives.insert(key, priority);
    }
}

/// Adds the rules of all rewrites to their pools, the oldest first.
pub(super) fn add_rewrites(
    rewrites: &[Loaded<RewriteSpec>],
    objects: &Objects,
    pools: &mut Pools,
    report: &mut Report,
) {
    let mut rules: BTreeMap<ObjectName, Vec<RewriteRule>> = BTreeMap::new();
    for rewrite in rewrites.iter().filter(|rewrite| !rewrite.meta.deleting) {
        let (place, name, spec) = (&rewrite.place, &rewrite.name, &rewrite.spec);
        let newer = |other: &Loaded<RewriteSpec>| !other.is_legacy() && other.name == *name;
        if rewrite.is_legacy() && rewrites.iter().any(newer) {
            let message = "ignored: there is an llm-d.ai InferenceModelRewrite of the same name";
            report.warning(place, "", message);
            continue;
        }
        let Some(pool) = owner(&spec.pool_ref, place, name, objects, pools, report) else {
            continue;
        };
        let found = rules.entry(pool.name.clone()).or_default();
        for (index, rule) in spec.rules.iter().enumerate() {
            let path = format!("spec.rules[{index}]");
            if rule.targets.is_empty() {
                let message = "is missing or empty, so the rule has no effect; want a target";
                report.warning(place, format!("{path}.targets"), message);
                continue;
            }
            found.push(rewrite_rule(name, rule, place, &path, report));
        }
    }
    for (name, rules) in rules {
        if let Some(entry) = pools.get_mut(&name) {
            Arc::make_mut(&mut entry.pool).rewrites = ModelRewrites::new(rules);
        }
    }
}

fn rewrite_rule(
    name: &ObjectName,
    rule: &RewriteRuleSpec,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> RewriteRule {
    let weighted = rule
        .targets
        .iter()
        .filter(|target| target.weight.is_some())
        .count();
    for (index, target) in rule.targets.iter().enumerate() {
        let path = format!("{path}.targets[{index}]");
        if target.model_rewrite.is_empty() {
            report.error(
                place,
                format!("{path}.modelRewrite"),
                "is empty, want a model name",
            );
        }
        if target.weight.is_none() && weighted > 0 {
            let message = "is missing while other targets have one, so this target is never chosen";
            report.warning(place, format!("{path}.weight"), message);
        }
    }
    RewriteRule {
        object: Arc::clone(&name.name),
        models: rule
            .matches
            .iter()
            .map(|found| found.model.value.as_str().into())
            .collect(),
        targets: rule
            .targets
            .iter()
            .map(|target| RewriteTarget {
                model: target.model_rewrite.as_str().into(),
                weight: target.weight.unwrap_or(0),
            })
            .collect(),
    }
}
