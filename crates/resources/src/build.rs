mod backends;
mod filters;
mod grants;
mod listeners;
mod mapping;
mod matches;
mod pods;
mod pools;
mod routes;
mod rules;
mod secrets;
mod selector;
mod services;
mod standalone;

use crate::objects::{BareEndpoint, Objects};
use crate::report::Report;
use crate::{Options, Problem, Serves, Snapshot, Source};

/// Reads all sources and builds a snapshot of them, together with every problem found.
///
/// Problems come ordered by source and line. If one of them is an [`crate::Severity::Error`] the
/// snapshot must not be used: it lacks whatever was wrong. An object that is wrong in itself (its
/// syntax, its fields, the rules of its definition) is an error; a reference that leads nowhere, or
/// something that has no effect, is a warning, because in a cluster the two ends may come and go.
///
/// The generation of the snapshot is left at 0.
pub fn build(sources: &[Source], options: &Options) -> (Snapshot, Vec<Problem>) {
    let mut report = Report::default();
    let all: Vec<&Source> = options.made_up.iter().chain(sources).collect();
    let mut objects = Objects::read(&all, &mut report);
    let bare = options
        .endpoints
        .iter()
        .cloned()
        .map(BareEndpoint::from_option);
    objects.endpoints.extend(bare);

    let pools = pools::build(&objects, &mut report);
    let mut snapshot = Snapshot {
        base_models: mapping::build(&objects.config_maps, &mut report),
        ..Snapshot::default()
    };
    if let Serves::Pool(pool) = &options.serves {
        snapshot.listeners.extend(standalone::picker(
            &objects,
            &pools,
            pool.as_ref(),
            &mut report,
        ));
    } else if options.serves == Serves::Models {
        // Nothing listens.
    } else if standalone::applies(&objects) {
        snapshot
            .listeners
            .extend(standalone::listener(&objects, &pools, options, &mut report));
    } else {
        let routes = routes::build(&objects, &pools, &mut report);
        snapshot.listeners = listeners::build(&objects, &routes, &mut report);
    }
    snapshot.pools = pools
        .into_iter()
        .map(|(name, entry)| (name, entry.pool))
        .collect();
    (snapshot, report.finish())
}

#[cfg(test)]
mod tests;
