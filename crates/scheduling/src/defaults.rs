//! The profiles that need no configuration.

use crate::filters::Health;
use crate::pickers::RoundRobin;
use crate::profile::{Named, Weighted};
use crate::scorers;
use crate::{Profile, Scorer};

fn weighted(name: &str, weight: f32, plugin: impl Scorer + 'static) -> Weighted {
    Weighted {
        name: name.into(),
        weight,
        plugin: Box::new(plugin),
    }
}

fn healthy() -> Profile {
    let mut profile = Profile::empty();
    profile.filters.push(Named {
        name: "health-filter".into(),
        plugin: Box::new(Health),
    });
    profile
}

pub(crate) fn default_profile() -> Profile {
    let mut profile = healthy();
    profile.scorers = vec![weighted(
        "prefix-cache-scorer",
        1.0,
        scorers::PrefixCache::default(),
    )];
    profile.seal();
    profile
}

pub(crate) fn round_robin_profile() -> Profile {
    let mut profile = healthy();
    profile.picker = Box::new(RoundRobin::default());
    profile.seal();
    profile
}
