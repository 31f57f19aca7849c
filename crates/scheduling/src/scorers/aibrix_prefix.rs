//! `aibrix-prefix-scorer`: the rule of AIBrix's prefix-cache router. The best match wins unless it
//! has more than its share of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer, SourceId};

pub(super) const KIND: Kind =
    Kind::new::<AibrixPrefix>("aibrix-prefix-scorer", Roles::SCORER).ours();

/// If most − least requests is above a bound, only endpoints with the least are considered. Of
/// those that match at all, the best match wins, then the fewest requests, among endpoints with no
/// more than the mean and so many standard deviations of requests. Else the fewest requests win.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AibrixPrefix {
    /// Requests by which most and least may differ.
    imbalance_threshold: u64,
    /// Standard deviations above the mean that are allowed, 0 or more.
    deviations: f64,
}

impl Default for AibrixPrefix {
    fn default() -> Self {
        Self {
            imbalance_threshold: 8,
            deviations: 1.0,
        }
    }
}

impl PluginType for AibrixPrefix {
    fn build(self, build: &mut Build<'_>) -> Instance {
        build.require(
            self.deviations >= 0.0,
            "deviations",
            self.deviations,
            ">= 0",
        );
        Instance::scorer(self).needing(Data::PrefixMatch, "")
    }
}

impl Scorer for AibrixPrefix {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let requests = |index: u32| field.state(index).load.requests;
        let (mut least, mut most, mut sum, mut squares) = (u64::MAX, 0, 0.0, 0.0);
        for &index in kept {
            let own = requests(index);
            (least, most) = (least.min(own), most.max(own));
            sum += own as f64;
            squares += (own as f64).powi(2);
        }
        let mean = sum / kept.len() as f64;
        let deviation = (squares / kept.len() as f64 - mean * mean).max(0.0).sqrt();
        let bound = mean + self.deviations * deviation;
        let apart = most.saturating_sub(least) > self.imbalance_threshold;
        for (out, &index) in out.iter_mut().zip(kept) {
            let own = requests(index);
            let few = 1.0 / (1.0 + (own - least) as f32);
            let share = field.matched_share(SourceId::POOL, index);
            let considered = !apart || own == least;
            *out = if considered && share > 0.0 && own as f64 <= bound {
                // Matches first; requests decide between equal ones.
                0.5 + 0.49 * share + 0.01 * few
            } else if considered {
                0.5 * few
            } else {
                0.0
            };
        }
    }
}
