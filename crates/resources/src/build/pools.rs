mod attached;

use super::{pods, selector};
use crate::objects::{BareEndpoint, Loaded, Objects, PodView, PoolSpec};
use crate::report::{Place, Report};
use crate::{AppProtocol, EndpointSpec, ModelRewrites, ObjectName, Pool, Scheme};
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
    attached::add_objectives(&objects.objectives, objects, &mut pools, report);
    attached::add_rewrites(&objects.rewrites, objects, &mut pools, report);
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
