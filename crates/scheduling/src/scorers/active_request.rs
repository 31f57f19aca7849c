//! `active-request-scorer`: how few requests of ours an endpoint is serving.

use serde::Deserialize;
use serde_json::Value;

use crate::registry::parameters;
use crate::{Factory, Field, Plugin, Reads, Scorer};

pub(crate) const FACTORY: Factory = Factory {
    kind: "active-request-scorer",
    build: |value| {
        Ok(Plugin::Scorer(Box::new(parameters::<ActiveRequest>(
            value,
        )?)))
    },
};

/// 1 for endpoints with at most `idleThreshold` requests in flight, else
/// `(max − c) / max · maxBusyScore` over the endpoints given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct ActiveRequest {
    /// Requests up to which an endpoint counts as idle; below 0 counts as 0.
    idle_threshold: i64,
    /// Score of the least busy endpoint; outside of 0..=1 counts as 1.
    max_busy_score: f32,
    /// Accepted for compatibility: there is one in-flight ledger.
    #[serde(rename = "inFlightLoadProducerName")]
    _in_flight_load_producer_name: Option<String>,
    /// Accepted for compatibility: reservations end with their request.
    #[serde(rename = "requestTimeout")]
    _request_timeout: Option<Value>,
}

impl Default for ActiveRequest {
    fn default() -> Self {
        Self {
            idle_threshold: 0,
            max_busy_score: 1.0,
            _in_flight_load_producer_name: None,
            _request_timeout: None,
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
