//! What is made up for someone who gives endpoints or a pool and nothing else.

use super::pools::Pools;
use crate::objects::{Kind, Objects};
use crate::report::Report;
use crate::{
    AttachedRoute, Backend, BackendTarget, Listener, ListenerProtocol, ObjectName, Options,
    PathMatch, Pool, Route, RouteMatch, Rule, Timeouts,
};
use std::sync::Arc;

/// Namespace of everything made up.
pub(super) const NAMESPACE: &str = "default";
/// Name of the pool that holds bare endpoints.
pub(super) const POOL: &str = "default";
const GATEWAY: &str = "plimsoll";

/// True if there is neither a Gateway nor an HTTPRoute.
pub(super) fn applies(objects: &Objects) -> bool {
    objects.gateways.is_empty()
        && objects.routes.is_empty()
        && !objects.has_broken(Kind::Gateway)
        && !objects.has_broken(Kind::HttpRoute)
}

/// A listener that sends everything to the only pool.
pub(super) fn listener(
    objects: &Objects,
    pools: &Pools,
    options: &Options,
    report: &mut Report,
) -> Option<Listener> {
    let mut entries = pools.values();
    let Some(entry) = entries.next() else {
        if !objects.has_broken_pool() {
            report.option_error(
                "input",
                "there is nothing to serve, want an endpoint, an InferencePool with its pods, or a \
                 Gateway with HTTPRoutes"
                    .to_owned(),
            );
        }
        return None;
    };
    if entries.next().is_some() {
        let names: Vec<String> = pools.keys().map(ToString::to_string).collect();
        let message = format!(
            "there are {} InferencePools ({}) and no HTTPRoute; write a Gateway and an HTTPRoute \
             that say which requests go to which",
            names.len(),
            names.join(", ")
        );
        match &entry.place {
            Some(place) => report.error(place, "", message),
            None => report.option_error("input", message),
        }
        return None;
    }
    Some(catch_all(&entry.pool, options.default_listen_port))
}

/// A listener that sends everything to the pool a picker serves: the one that is named, or the only one.
pub(super) fn picker(
    objects: &Objects,
    pools: &Pools,
    name: Option<&ObjectName>,
    report: &mut Report,
) -> Option<Listener> {
    let found = match name {
        Some(name) => pools.get(name),
        None => pools.values().next().filter(|_| pools.len() == 1),
    };
    if found.is_none() && !objects.has_broken_pool() {
        let known: Vec<String> = pools.keys().map(ToString::to_string).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        report.option_error(
            "pool",
            match name {
                Some(name) => format!("there is no InferencePool {name}; the input holds {known}"),
                None => format!(
                    "a picker serves one InferencePool and the input holds {known}; name one by --pool-name"
                ),
            },
        );
    }
    found.map(|entry| catch_all(&entry.pool, PICKER_PORT))
}

/// Pickers have no listener of their own; routes are looked up under this port.
const PICKER_PORT: u16 = 0;

fn catch_all(pool: &Arc<Pool>, port: u16) -> Listener {
    let any = RouteMatch {
        path: PathMatch::any(),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let rule = Rule {
        name: None,
        matches: vec![any],
        filters: Vec::new(),
        backends: vec![Backend {
            weight: 1,
            target: BackendTarget::Pool(Arc::clone(pool)),
            filters: Vec::new(),
        }],
        timeouts: Timeouts::default(),
        retry: None,
    };
    let name = ObjectName::new(NAMESPACE, GATEWAY);
    let route = Route {
        name: name.clone(),
        created: None,
        rules: vec![rule],
    };
    Listener {
        gateway: name,
        name: "http".into(),
        port,
        protocol: ListenerProtocol::Http,
        hostname: None,
        tls: Vec::new(),
        routes: vec![AttachedRoute {
            route: Arc::new(route),
            hostnames: Vec::new(),
        }],
    }
}
