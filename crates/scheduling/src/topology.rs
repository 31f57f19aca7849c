//! Where endpoints stand towards each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::Endpoint;

use crate::layer::Topology;

/// How close two endpoints are.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Closeness {
    /// Nothing in common.
    #[serde(skip)]
    Apart,
    /// In one region.
    Region,
    /// In one zone.
    Zone,
    /// In one rack.
    Rack,
    /// On one host.
    #[default]
    Host,
}

fn levels<'e>(endpoint: &'e Endpoint, labels: &Topology) -> [Option<&'e str>; 4] {
    let known = &endpoint.identity().labels;
    let keys = [&labels.hostname, &labels.rack, &labels.zone, &labels.region];
    keys.map(|key| {
        let value = known.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    })
}

/// Whether anything is known of where an endpoint stands.
pub(crate) fn is_known(endpoint: &Endpoint, labels: &Topology) -> bool {
    levels(endpoint, labels).iter().any(Option::is_some)
}

/// How close two endpoints are: the narrowest place that both name alike.
pub(crate) fn closeness(one: &Endpoint, other: &Endpoint, labels: &Topology) -> Closeness {
    let names = [
        Closeness::Host,
        Closeness::Rack,
        Closeness::Zone,
        Closeness::Region,
    ];
    let pairs = levels(one, labels)
        .into_iter()
        .zip(levels(other, labels))
        .zip(names);
    for ((one, other), closeness) in pairs {
        if one.is_some() && one == other {
            return closeness;
        }
    }
    Closeness::Apart
}
