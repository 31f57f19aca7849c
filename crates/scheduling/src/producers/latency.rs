//! `predicted-latency-producer`: how long each endpoint would take.
//!
//! The reference asks a model in another process. Here the time to the first token follows from
//! what the ledger has learned of the endpoint's prefill pace, and the time per token from a
//! least-squares fit over the requests that went before.

mod model;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signals::{Endpoint, Load, Time};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{
    Effects, Field, Keeper, Placed, PreRequest, Prediction, Produced, Producer, SourceId, Ticket,
};
use model::{Neighbours, PaceOfTokens};

pub(super) const KIND: Kind = Kind::new::<PredictedLatency>(
    "predicted-latency-producer",
    Roles::PRODUCER.and(Roles::PRE_REQUEST).and(Roles::RESPONSE),
);

/// How latencies are predicted and judged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PredictedLatency {
    /// What is allowed per token is multiplied by this, above 0.
    slo_buffer_factor: f32,
    /// Judge the time per token too.
    streaming_mode: bool,
    /// Label of the part an endpoint plays; one that prefills makes no tokens.
    endpoint_role_label: String,
    /// Predict before profiles run; without it there are no predictions.
    predict_in_produce: bool,
    /// Accepted for compatibility: media are counted as the tokens they stand for.
    use_encoder_cache_features: bool,
    /// Accepted for compatibility: nothing is kept beyond a request.
    #[serde(rename = "contextTTL", skip_serializing_if = "Value::is_null")]
    context_ttl: Value,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Value::is_null")]
    sampling_mean: Value,
    /// Accepted for compatibility.
    #[serde(skip_serializing_if = "Value::is_null")]
    max_decode_token_samples_for_prediction: Value,
    /// Name of the producer of prefix matches; the usual one when empty.
    prefix_match_info_producer_name: String,
    /// Name of the producer of in-flight load; the usual one when empty.
    in_flight_load_producer_name: String,
    /// Name of the producer of media matches; the usual one when empty.
    encoder_cache_match_info_producer_name: String,
}

impl Default for PredictedLatency {
    fn default() -> Self {
        Self {
            slo_buffer_factor: 1.0,
            streaming_mode: false,
            endpoint_role_label: String::new(),
            predict_in_produce: true,
            use_encoder_cache_features: false,
            context_ttl: Value::Null,
            sampling_mean: Value::Null,
            max_decode_token_samples_for_prediction: Value::Null,
            prefix_match_info_producer_name: String::new(),
            in_flight_load_producer_name: String::new(),
            encoder_cache_match_info_producer_name: String::new(),
        }
    }
}

impl PluginType for PredictedLatency {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let buffer = self.slo_buffer_factor;
        build.require(buffer > 0.0, "sloBufferFactor", buffer, "> 0");
        let (prefix, load) = (
            self.prefix_match_info_producer_name.clone(),
            self.in_flight_load_producer_name.clone(),
        );
        let media = self
            .use_encoder_cache_features
            .then(|| self.encoder_cache_match_info_producer_name.clone());
        let producer = Arc::new(Latencies {
            source: build.prefix_source(&prefix),
            parameters: self,
            servers: Mutex::default(),
        });
        let mut instance = Instance {
            producer: Some(producer.clone()),
            placed: Some(producer.clone()),
            keeper: Some(producer),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, &prefix)
        .needing(Data::InFlightLoad, &load)
        .needing(Data::Tokens, "")
        .providing(Data::Latency);
        if let Some(media) = media {
            instance = instance.needing(Data::MediaMatch, &media);
        }
        instance
    }
}

/// What is known of one server.
#[derive(Debug, Default)]
struct Server {
    pace: PaceOfTokens,
    neighbours: Neighbours,
}

#[derive(Debug)]
struct Latencies {
    parameters: PredictedLatency,
    source: SourceId,
    servers: Mutex<HashMap<u32, Arc<Mutex<Server>>>>,
}

impl Latencies {
    fn server(&self, endpoint: u32) -> Arc<Mutex<Server>> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(endpoint).or_default())
    }

    /// Milliseconds to the first token: what waits ahead, and the prompt itself. NaN until the
    /// endpoint's pace is known.
    fn ttft_ms(&self, field: &Field<'_>, index: u32) -> f32 {
        let state = field.state(index);
        let (pace, load) = (state.load.pace, &state.load);
        if pace.samples == 0 {
            return f32::NAN;
        }
        let query = field.query;
        let cached = query.tokens_in(field.matched(self.source, index));
        let uncached = (query.prompt_tokens - cached).max(query.prompt_tokens.min(1));
        let own = pace.seconds(1.0, Load::work(uncached, cached) as f32);
        let ahead = pace.seconds(load.before_first_token as f32, load.prefill_work as f32);
        (own + ahead) * 1000.0
    }

    fn predict(&self, field: &Field<'_>, index: u32) -> Prediction {
        let ttft_ms = self.ttft_ms(field, index);
        if ttft_ms.is_nan() {
            return Prediction::NONE;
        }
        let endpoint = &field.endpoints[index as usize];
        let server = self.server(endpoint.id());
        let server = server.lock().unwrap_or_else(PoisonError::into_inner);
        let state = field.state(index);
        let tpot_ms = server.pace.predict_ms(state.load.requests + 1);
        let slo = field.query.slo;
        let mut prediction = Prediction {
            ttft_ms,
            tpot_ms,
            ttft_headroom_ms: slo.ttft_ms - ttft_ms,
            tpot_headroom_ms: 0.0,
            ttft_valid: ttft_ms < slo.ttft_ms,
            tpot_valid: true,
            dispatched: u32::try_from(state.load.requests).unwrap_or(u32::MAX),
        };
        let label = &self.parameters.endpoint_role_label;
        let prefills = !label.is_empty() && field.label(index, label) == Some("prefill");
        if self.parameters.streaming_mode && !prefills {
            // The strictest of those who share the endpoint counts for all.
            let strictest = server.neighbours.strictest_ms().unwrap_or(f32::INFINITY);
            let allowed = slo.tpot_ms.min(strictest) * self.parameters.slo_buffer_factor;
            prediction.tpot_headroom_ms = allowed - tpot_ms;
            prediction.tpot_valid = prediction.tpot_headroom_ms > 0.0;
        }
        prediction
    }
}

impl Producer for Latencies {
    fn produce(&self, field: &Field<'_>, _: &[u32], out: &mut Produced) {
        if self.parameters.predict_in_produce {
            let indices = 0..field.states.len() as u32;
            out.predictions
                .extend(indices.map(|index| self.predict(field, index)));
        }
    }
}

impl PreRequest for Latencies {
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects) {
        if let Some(target) = placed.primary() {
            let server = self.server(target.id());
            let tpot_slo_ms = placed.field.query.slo.tpot_ms;
            {
                let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
                server.neighbours.add(tpot_slo_ms);
            }
            effects.tickets.push(Box::new(Watched {
                server,
                requests: target.ledger().view().requests + 1,
                tpot_slo_ms,
                first_token: None,
            }));
        }
    }
}

impl Keeper for Latencies {
    fn forget(&self, endpoint: &Endpoint) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.remove(&endpoint.id());
    }
}

/// A request whose pace is to be learned.
#[derive(Debug)]
struct Watched {
    server: Arc<Mutex<Server>>,
    requests: u64,
    tpot_slo_ms: f32,
    first_token: Option<Time>,
}

impl Ticket for Watched {
    fn first_token(&mut self, now: Time) {
        self.first_token.get_or_insert(now);
    }

    fn completed(&mut self, output_tokens: Option<u64>, now: Time) {
        let (Some(first), Some(tokens)) = (self.first_token, output_tokens) else {
            return;
        };
        if tokens > 1 {
            let seconds = now.saturating_since(first).as_secs_f64();
            let per_token_ms = (seconds * 1000.0 / (tokens - 1) as f64) as f32;
            let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            server.pace.learn(self.requests, per_token_ms);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.neighbours.remove(self.tpot_slo_ms);
    }
}
