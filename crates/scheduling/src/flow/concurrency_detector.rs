//! `concurrency-detector`: how full a pool is by our own requests in flight. As a filter it drops
//! servers that have as many as they may have, all of them if need be.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::settings::{Detector, Setting};
use crate::{Field, Filter, Reads};

pub(crate) const KIND: Kind =
    Kind::new::<ConcurrencyDetector>("concurrency-detector", Roles::DETECTOR.and(Roles::FILTER));

/// What [`ConcurrencyDetector`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConcurrencyMode {
    /// Requests.
    #[default]
    Requests,
    /// Tokens.
    Tokens,
    /// Both; the fuller one counts.
    Hybrid,
}

/// Keeps servers with fewer than `⌊limit · (1 + headroom)⌋` requests, tokens, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConcurrencyDetector {
    /// What is counted.
    pub concurrency_mode: ConcurrencyMode,
    /// Requests a server may have, above 0.
    pub max_concurrency: i64,
    /// Tokens a server may have, above 0.
    pub max_token_concurrency: i64,
    /// How much more than full the filter allows, as a share; 0 or more.
    pub headroom: f64,
    /// Name of the producer of in-flight load; the usual one when empty.
    pub in_flight_load_producer_name: String,
}

impl Default for ConcurrencyDetector {
    fn default() -> Self {
        Self {
            concurrency_mode: ConcurrencyMode::Requests,
            max_concurrency: 100,
            max_token_concurrency: 1_000_000,
            headroom: 0.0,
            in_flight_load_producer_name: String::new(),
        }
    }
}

impl PluginType for ConcurrencyDetector {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let most = self.max_concurrency;
        build.require(most > 0, "maxConcurrency", most, "> 0");
        let most = self.max_token_concurrency;
        build.require(most > 0, "maxTokenConcurrency", most, "> 0");
        build.require(self.headroom >= 0.0, "headroom", self.headroom, ">= 0");
        let producer = self.in_flight_load_producer_name.clone();
        Instance {
            setting: Some(Setting::Detector(Detector::Concurrency(self.clone()))),
            ..Instance::filter(self)
        }
        .needing(Data::InFlightLoad, &producer)
    }
}

impl Filter for ConcurrencyDetector {
    fn reads(&self) -> Reads {
        Reads::LEDGER
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let most = |limit: i64| (limit as f64 * (1.0 + self.headroom)).floor() as u64;
        let (requests, tokens) = (most(self.max_concurrency), most(self.max_token_concurrency));
        kept.retain(|&index| {
            let load = &field.state(index).load;
            let by_requests = load.requests < requests;
            let by_tokens = load.prefill_tokens < tokens;
            match self.concurrency_mode {
                ConcurrencyMode::Requests => by_requests,
                ConcurrencyMode::Tokens => by_tokens,
                ConcurrencyMode::Hybrid => by_requests && by_tokens,
            }
        });
    }
}
