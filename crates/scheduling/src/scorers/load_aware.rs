//! `load-aware-scorer`: how few requests wait at an endpoint, against a fixed number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

const THRESHOLD_DEFAULT: i64 = 128;

pub(super) const KIND: Kind = Kind::new::<LoadAware>("load-aware-scorer", Roles::SCORER);

/// `0.5 · (1 − min(queue, threshold) / threshold)`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LoadAware {
    /// Waiting requests at which the score is 0; not above 0: the default.
    threshold: i64,
}

impl Default for LoadAware {
    fn default() -> Self {
        Self {
            threshold: THRESHOLD_DEFAULT,
        }
    }
}

impl PluginType for LoadAware {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let threshold = match self.threshold {
            given if given > 0 => given,
            _ => THRESHOLD_DEFAULT,
        };
        Instance::scorer(Self { threshold }).needing(Data::CoreMetrics, "")
    }
}

impl Scorer for LoadAware {
    fn reads(&self) -> Reads {
        Reads::QUEUE
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let threshold = self.threshold as f32;
        for (out, &index) in out.iter_mut().zip(kept) {
            let queue = field.state(index).signals.scraped.waiting as f32;
            *out = 0.5 * (1.0 - queue.min(threshold) / threshold);
        }
    }
}
