//! `kv-cache-utilization-scorer`: how much KV space an endpoint has left.

use super::GaugeParameters;
use crate::registry::parameters;
use crate::{Factory, Field, Plugin, Reads, Scorer};

pub(crate) const FACTORY: Factory = Factory {
    kind: "kv-cache-utilization-scorer",
    build: |value| {
        Ok(Plugin::Scorer(Box::new(KvCacheUtilization(parameters(
            value,
        )?))))
    },
};

/// `1 − usage`, with usage a share of 0..=1; what is beyond is cut off by the profile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KvCacheUtilization(pub(crate) GaugeParameters);

impl Scorer for KvCacheUtilization {
    fn reads(&self) -> Reads {
        Reads::KV
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        self.0
            .gauges
            .score_each(field, kept, out, |gauges| 1.0 - gauges.kv_usage);
    }
}
