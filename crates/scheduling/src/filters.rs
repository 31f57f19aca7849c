//! Filters, one a file.

mod by_label;
mod endpoint_attribute;
mod header_based_testing;
mod health;
mod label_selector;
mod power_of_two;
mod prefix_cache_affinity;
mod roles;
mod slo_headroom_tier;
mod topology_affinity;
mod utilization;

pub(crate) use health::Health;

use crate::Kind;

pub(crate) const KINDS: &[&[Kind]] = &[
    &[
        by_label::KIND,
        endpoint_attribute::KIND,
        header_based_testing::KIND,
        health::KIND,
        power_of_two::KIND,
        prefix_cache_affinity::KIND,
        slo_headroom_tier::KIND,
        topology_affinity::KIND,
        utilization::KIND,
    ],
    label_selector::KINDS,
    roles::KINDS,
];
