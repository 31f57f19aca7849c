//! `lmetric-scorer`: tokens that wait times requests in the batch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::costs_to_scores;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind = Kind::new::<LMetric>("lmetric-scorer", Roles::SCORER).ours();

/// The least of `(queued prompt tokens + those this request adds) · (requests + 1)` wins.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LMetric {
    /// Count only what this request adds, not what is queued.
    own_tokens_only: bool,
}

impl PluginType for LMetric {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::scorer(self)
    }
}

impl Scorer for LMetric {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        for (out, &index) in out.iter_mut().zip(kept) {
            let state = field.state(index);
            let queued = if self.own_tokens_only {
                0
            } else {
                state.load.prefill_tokens
            };
            let tokens = queued + state.uncached_tokens;
            *out = tokens as f32 * (state.load.requests + 1) as f32;
        }
        costs_to_scores(out, 1.0);
    }
}
