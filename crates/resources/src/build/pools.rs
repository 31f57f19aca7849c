use super::{pods, selector};
use crate::objects::{
    BareEndpoint, Loaded, ObjectiveSpec, Objects, PodView, PoolRef, PoolSpec, RewriteSpec,
};
use crate::report::{Place, Report};
use crate::{
    AppProtocol, EndpointSpec, ModelRewrites, ObjectName, Pool, RewriteRule, RewriteTarget, Scheme,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A pool and what references to it must say.
pub(super) struct PoolEntry {
    /// API group; `None` for a pool made up from bare endpoints, which any group finds.
    pub(super) group: Option<&'static str>,
    pub(super) place: Option<Place>,
    pub(super) pool: Arc<Pool>,
}

impl PoolEntry {
    /// True if a reference with this group means this pool.
    pub(super) fn is_in(&self, group: &str) -> bool {
        self.group.is_none_or(|own| own == group)
    }
}

/// All pools by name.
pub(super) type Pools = BTreeMap<ObjectName, PoolEntry>;

/// Builds all pools with their endpoints, objectives and rewrites.
pub(super) fn build(objects: &Objects, report: &mut Report) -> Pools {
    let mut drafts: BTreeMap<ObjectName, (PoolEntryDraft<'_>, Pool)> = BTreeMap::new();
    // A pool in both versions is one pool on its way from the old one: v1 has the say.
    let ordered = objects.pools.iter().filter(|pool| !pool.meta.deleting);
    let (v1, alpha): (Vec<_>, Vec<_>) =
        ordered.partition(|pool| pool.spec.group == crate::objects::POOL_GROUP);
    for pool in v1.into_iter().chain(alpha) {
        if drafts.contains_key(&pool.name) {
            let message = "ignored: there is a v1 InferencePool of the same name";
            report.warning(&pool.place, "", message);
            continue;
        }
        drafts.insert(
            pool.name.clone(),
            (Some(pool), with_pods(pool, objects, report)),
        );
    }
    add_bare_endpoints(objects, &mut drafts, report);
    let mut pools: Pools = drafts
        .into_iter()
        .map(|(name, (source, mut pool))| {
            pool.endpoints.sort_by(|a, b| a.name.cmp(&b.name));
            let entry = PoolEntry {
                group: source.map(|source| source.spec.group),
                place: source.map(|source| source.place.clone()),
                pool: Arc::new(pool),
            };
            (name, entry)
        })
        .collect();
    add_objectives(&objects.objectives, objects, &mut pools, report);
    add_rewrites(&objects.rewrites, objects, &mut pools, report);
    pools
}

type PoolEntryDraft<'o> = Option<&'o Loaded<PoolSpec>>;

fn empty_pool(name: ObjectName) -> Pool {
    Pool {
        name,
        app_protocol: AppProtocol::default(),
        target_ports: Vec::new(),
        endpoints: Vec::new(),
        not_ready: 0,
        objectives: BTreeMap::new(),
        rewrites: ModelRewrites::default(),
    }
}

fn with_pods(source: &Loaded<PoolSpec>, objects: &Objects, report: &mut Report) -> Pool {
    let mut pool = empty_pool(source.name.clone());
    pool.app_protocol = source.spec.app_protocol;
    pool.target_ports.clone_from(&source.spec.target_ports);
    for pod in &objects.pods {
        let ours = pod.name.namespace == source.name.namespace
            && selector::selects(&source.spec.match_labels, &pod.meta.labels);
        if !ours {
            continue;
        }
        if pods::is_ready(pod) {
            pool.endpoints
                .extend(endpoints_of(pod, &source.spec.target_ports));
        } else {
            pool.not_ready += 1;
            if pods::address(pod).is_none() && !pod.meta.deleting {
                let message = "is missing, so the pod gives no endpoint; want its IP address";
                report.warning(&pod.place, "status.podIP", message);
            }
        }
    }
    pool
}

/// One endpoint for each live target port of the pod.
fn endpoints_of(pod: &Loaded<PodView>, target_ports: &[u16]) -> Vec<EndpointSpec> {
    let Some(address) = pods::address(pod) else {
        return Vec::new();
    };
    let active = pods::active_ports(pod);
    let labels = Arc::new(pod.meta.labels.clone());
    let live = |port: u16| active.as_ref().is_none_or(|active| active.contains(&port));
    (0_u16..)
        .zip(target_ports)
        .filter(|(_, port)| live(**port))
        .map(|(rank, port)| EndpointSpec {
            name: format!("{}-rank-{rank}", pod.name).into(),
            host: address.into(),
            port: *port,
            scheme: Scheme::Http,
            labels: Arc::clone(&labels),
            rank,
            ready: true,
        })
        .collect()
}

/// Gives bare endpoints to the pools that select them; without any pool they make up one.
fn add_bare_endpoints<'o>(
    objects: &'o Objects,
    drafts: &mut BTreeMap<ObjectName, (PoolEntryDraft<'o>, Pool)>,
    report: &mut Report,
) {
    let endpoints = distinct(&objects.endpoints, report);
    if endpoints.is_empty() {
        return;
    }
    if drafts.is_empty() && !objects.has_broken_pool() {
        let name = ObjectName::new(super::standalone::NAMESPACE, super::standalone::POOL);
        let mut pool = empty_pool(name.clone());
        objects
            .endpoints
            .iter()
            .for_each(|endpoint| place_endpoint(&mut pool, endpoint));
        drafts.insert(name, (None, pool));
        return;
    }
    for endpoint in endpoints {
        let mut placed = false;
        for (source, pool) in drafts.values_mut() {
            let selected = source.is_some_and(|source| {
                source.name.namespace == endpoint.namespace
                    && selector::selects(&source.spec.match_labels, &endpoint.spec.labels)
            });
            if selected {
                placed = true;
                place_endpoint(pool, endpoint);
            }
        }
        if !placed && !objects.has_broken_pool() {
            unplaced(endpoint, report);
        }
    }
}

/// Leaves out, and reports, endpoints whose name is taken.
fn distinct<'o>(all: &'o [BareEndpoint], report: &mut Report) -> Vec<&'o BareEndpoint> {
    let mut names = BTreeSet::new();
    let mut kept = Vec::new();
    for endpoint in all {
        let name = &endpoint.spec.name;
        if names.insert(name) {
            kept.push(endpoint);
            continue;
        }
        let message = format!("endpoint `{name}` is given twice, want each name once");
        match &endpoint.place {
            Some((place, path)) => report.error(place, format!("{path}.name"), message),
            None => report.option_error("--endpoint", message),
        }
    }
    kept
}

fn place_endpoint(pool: &mut Pool, endpoint: &BareEndpoint) {
    if endpoint.spec.ready {
        pool.endpoints.push(endpoint.spec.clone());
    } else {
        pool.not_ready += 1;
    }
}

fn unplaced(endpoint: &BareEndpoint, report: &mut Report) {
    let message = format!(
        "no InferencePool of namespace {} selects endpoint {}; give it the labels of one",
        endpoint.namespace, endpoint.spec.name
    );
    match &endpoint.place {
        Some((place, path)) => report.warning(place, format!("{path}.labels"), message),
        None => report.option_warning("--endpoint", message),
    }
}

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

fn add_objectives(
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

fn add_rewrites(
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
    rule: &crate::objects::RewriteRuleSpec,
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
