//! `active-request-scorer`: how few requests of ours an endpoint is serving.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind = Kind::new::<ActiveRequest>("active-request-scorer", Roles::SCORER);

impl PluginType for ActiveRequest {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if !self.request_timeout.is_null() {
            build.warn(
                "requestTimeout",
                "has no effect: requests end when they end",
            );
        }
        if !(0.0..=1.0).contains(&self.max_busy_score) {
            build.warn("maxBusyScore", "lies outside of [0, 1], so 1 is used");
        }
        let producer = self.in_flight_load_producer_name.clone();
        Instance::scorer(self).needing(Data::InFlightLoad, &producer)
    }
}

/// 1 for endpoints with at most `idleThreshold` requests in flight, else
/// `(max − c) / max · maxBusyScore` over the endpoints given.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ActiveRequest {
    /// Requests up to which an endpoint counts as idle; below 0 counts as 0.
    idle_threshold: i64,
    /// Score of the least busy endpoint; outside of 0..=1 counts as 1.
    max_busy_score: f32,
    /// Name of the producer of in-flight load; the usual one when empty.
    in_flight_load_producer_name: String,
    /// Accepted for compatibility: reservations end with their request.
    #[serde(skip_serializing_if = "Value::is_null")]
    request_timeout: Value,
}

impl Default for ActiveRequest {
    fn default() -> Self {
        Self {
            idle_threshold: 0,
            max_busy_score: 1.0,
            in_flight_load_producer_name: String::new(),
            request_timeout: Value::Null,
        }
    }
}

impl Scorer for ActiveRequest {
    fn reads(&self) -> Reads {
        Reads::LEDGER
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let idle = u64::try_from(self.idle_threshold).unwrap_or(0);
        let valid = (0.0..=1.0).contains(&self.max_busy_score);
        let busy_score = if valid { self.max_busy_score } else { 1.0 };
        let requests = |index: u32| field.state(index).load.requests;
        let most = kept.iter().map(|&index| requests(index)).max().unwrap_or(0);
        for (out, &index) in out.iter_mut().zip(kept) {
            let count = requests(index);
            *out = if count <= idle {
                1.0
            } else {
                (most - count) as f32 / most as f32 * busy_score
            };
        }
    }
}
