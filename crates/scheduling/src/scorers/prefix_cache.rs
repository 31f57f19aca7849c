//! `prefix-cache-scorer`: how much of the prompt an endpoint is believed to hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer, SourceId};

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<PrefixCache>("prefix-cache-scorer", Roles::SCORER),
    Kind::new::<PrefixCache>("multicluster-prefix-cache-scorer", Roles::SCORER).alpha(),
];

/// `(1 − w)·r + w·min(1, matched tokens ÷ scale)²`, with `r` the share of the prompt's blocks that
/// match. By default `w` is 0 and the score is `r`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PrefixCache {
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
    /// `w`, in 0..=1.
    match_length_weight: f32,
    /// Matched tokens at which the second term is full; above 0 when `w` is.
    match_length_scale_tokens: f32,
}

impl Default for PrefixCache {
    fn default() -> Self {
        Self {
            prefix_match_info_producer_name: String::new(),
            match_length_weight: 0.0,
            match_length_scale_tokens: 8192.0,
        }
    }
}

impl PluginType for PrefixCache {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let weight = self.match_length_weight;
        let path = "matchLengthWeight";
        build.require((0.0..=1.0).contains(&weight), path, weight, "in [0, 1]");
        let scale = self.match_length_scale_tokens;
        let wanted = "> 0 when matchLengthWeight is";
        let fits = weight <= 0.0 || scale > 0.0;
        build.require(fits, "matchLengthScaleTokens", scale, wanted);
        let producer = self.prefix_match_info_producer_name;
        let scorer = Match {
            source: build.prefix_source(&producer),
            weight,
            scale,
        };
        Instance::scorer(scorer).needing(Data::PrefixMatch, &producer)
    }
}

/// The scorer, by the pool's own index and the share that matches unless made otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Match {
    source: SourceId,
    weight: f32,
    scale: f32,
}

/// A scorer by the share that matches in `source`.
pub(crate) fn prefix_match(source: SourceId) -> Instance {
    Instance::scorer(Match {
        source,
        ..Match::default()
    })
}

impl Default for Match {
    fn default() -> Self {
        Self {
            source: SourceId::POOL,
            weight: 0.0,
            scale: 8192.0,
        }
    }
}

impl Scorer for Match {
    fn reads(&self) -> Reads {
        Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let total = field.query.blocks.len();
        if total == 0 {
            return;
        }
        let weight = self.weight;
        for (score, &index) in out.iter_mut().zip(kept) {
            let matched = field.matched(self.source, index);
            let share = matched as f32 / total as f32;
            let tokens = matched as f32 * field.query.block_tokens as f32;
            let length = if weight > 0.0 {
                (tokens / self.scale).min(1.0).powi(2)
            } else {
                0.0
            };
            *score = weight * length + (1.0 - weight) * share;
        }
    }
}
