use super::backends::Backends;
use super::pools::Pools;
use super::rules;
use crate::objects::{Loaded, Objects, RouteSpec};
use crate::report::Report;
use crate::{Hostname, Route};
use std::sync::Arc;

/// A route with what attaching it needs.
pub(super) struct BuiltRoute<'o> {
    pub(super) source: &'o Loaded<RouteSpec>,
    pub(super) route: Arc<Route>,
    /// Empty means every one.
    pub(super) hostnames: Vec<Hostname>,
}

/// Builds all routes, attached or not, ordered by name.
pub(super) fn build<'o>(
    objects: &'o Objects,
    pools: &Pools,
    report: &mut Report,
) -> Vec<BuiltRoute<'o>> {
    let mut backends = Backends::new(objects, pools);
    let mut built = Vec::new();
    for source in objects.routes.iter().filter(|route| !route.meta.deleting) {
        let rules = rules::build(source, &mut backends, report);
        let names = source.spec.spec.hostnames.iter().flatten();
        // Names that are none have been reported against the table of limits.
        let hostnames = names
            .filter_map(|name| Hostname::parse(name).ok())
            .collect();
        let route = Route {
            name: source.name.clone(),
            created: source.meta.created,
            rules,
        };
        built.push(BuiltRoute {
            source,
            route: Arc::new(route),
            hostnames,
        });
    }
    built
}
