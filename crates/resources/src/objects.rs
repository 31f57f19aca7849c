//! The objects in the sources, decoded and checked one by one; nothing is resolved yet.

mod draft;
mod endpoint_file;
mod inference;
mod read;
mod route;

pub(crate) use endpoint_file::BareEndpoint;
pub(crate) use inference::{
    ALPHA_GROUP, ObjectiveSpec, POOL_GROUP, PoolRef, PoolSpec, RewriteRuleSpec, RewriteSpec,
};
pub(crate) use route::{RetrySpec, RouteSpec};

use crate::report::Place;
use crate::report::Report;
use crate::tree::Node;
use crate::{ObjectName, Source};
use gateway_api::apis::standard::gateways::GatewaySpec;
use gateway_api::apis::standard::referencegrants::ReferenceGrantSpec;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Namespace of objects that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// One object with its place.
#[derive(Clone, Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) place: Place,
    pub(crate) name: ObjectName,
    pub(crate) meta: Meta,
    pub(crate) spec: T,
}

/// What matters of an object's metadata.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta {
    /// Unix seconds.
    pub(crate) created: Option<i64>,
    pub(crate) deleting: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl<T> Loaded<T> {
    /// True for a kind that llm-d moved to its own group, given in the old one.
    pub(crate) fn is_legacy(&self) -> bool {
        let version = self.place.node.get("apiVersion").and_then(Node::text);
        version.is_some_and(|version| version.starts_with(ALPHA_GROUP))
    }

    /// Sort key: the oldest first, those without a time last, then by name.
    pub(crate) fn age(&self) -> (i64, &ObjectName) {
        (self.meta.created.unwrap_or(i64::MAX), &self.name)
    }
}

/// A pod: what its author wrote and what a cluster reported.
#[derive(Clone, Debug)]
pub(crate) struct PodView {
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatusView,
}

/// The few fields of a pod's status that matter. Servers write it, so others are no mistake.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatusView {
    pub(crate) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    pub(crate) conditions: Vec<PodConditionView>,
}

/// A condition of a pod.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PodConditionView {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

/// Kind of an object this crate reads; the variants sort as the definitions are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Gateway,
    HttpRoute,
    ReferenceGrant,
    Service,
    EndpointSlice,
    Pod,
    ConfigMap,
    Secret,
    Namespace,
    Pool,
    AlphaPool,
    Objective,
    AlphaObjective,
    Rewrite,
    AlphaRewrite,
}

/// All objects of all sources, each list ordered by name.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) gateways: Vec<Loaded<GatewaySpec>>,
    pub(crate) routes: Vec<Loaded<RouteSpec>>,
    pub(crate) grants: Vec<Loaded<ReferenceGrantSpec>>,
    pub(crate) services: BTreeMap<ObjectName, Loaded<ServiceSpec>>,
    pub(crate) slices: Vec<Loaded<EndpointSlice>>,
    pub(crate) pods: Vec<Loaded<PodView>>,
    pub(crate) config_maps: Vec<Loaded<ConfigMap>>,
    pub(crate) secrets: BTreeMap<ObjectName, Loaded<Secret>>,
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) pools: Vec<Loaded<PoolSpec>>,
    pub(crate) objectives: Vec<Loaded<ObjectiveSpec>>,
    pub(crate) rewrites: Vec<Loaded<RewriteSpec>>,
    pub(crate) endpoints: Vec<BareEndpoint>,
    /// Objects that could not be decoded. References to them are not reported once more.
    broken: BTreeSet<(Kind, ObjectName)>,
}

impl Objects {
    /// Reads all sources.
    pub(crate) fn read(sources: &[&Source], report: &mut Report) -> Self {
        read::Reader::new(report).read(sources)
    }

    /// True if the object is among the sources but could not be decoded.
    pub(crate) fn is_broken(&self, kind: Kind, name: &ObjectName) -> bool {
        self.broken.contains(&(kind, name.clone()))
    }

    /// True if some object of the kind could not be decoded.
    pub(crate) fn has_broken(&self, kind: Kind) -> bool {
        self.broken.iter().any(|(broken, _)| *broken == kind)
    }

    /// True if the pool is among the sources, in either version, but could not be decoded.
    pub(crate) fn is_broken_pool(&self, name: &ObjectName) -> bool {
        self.is_broken(Kind::Pool, name) || self.is_broken(Kind::AlphaPool, name)
    }

    /// True if some pool could not be decoded.
    pub(crate) fn has_broken_pool(&self) -> bool {
        self.has_broken(Kind::Pool) || self.has_broken(Kind::AlphaPool)
    }

    fn sort(&mut self) {
        self.gateways.sort_by(|a, b| a.name.cmp(&b.name));
        self.routes.sort_by(|a, b| a.name.cmp(&b.name));
        self.grants.sort_by(|a, b| a.name.cmp(&b.name));
        self.slices.sort_by(|a, b| a.name.cmp(&b.name));
        self.pods.sort_by(|a, b| a.name.cmp(&b.name));
        self.config_maps.sort_by(|a, b| a.age().cmp(&b.age()));
        self.pools.sort_by(|a, b| a.name.cmp(&b.name));
        self.objectives
            .sort_by(|a, b| (a.is_legacy(), &a.name).cmp(&(b.is_legacy(), &b.name)));
        self.rewrites.sort_by(|a, b| a.age().cmp(&b.age()));
        self.endpoints.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    }
}

#[cfg(test)]
mod tests;
