//! `min-cost-scorer`: the estimated time to first token, and what the request costs the others.
//!
//! Scores that look at one signal each and are added up cannot say that holding nine tenths of a
//! short prompt is worth less than holding a fifth of a long one. Seconds can. Per endpoint:
//!
//! ```text
//! P = per_request + per_work · work of the uncached tokens        own prefill
//! W = the same over our requests before their first token         queue, exact
//!   + requests of others that wait there · mean P                 queue, scraped
//! M = kv_wait · max(0, KV share after this request − 1)           KV admission
//! L = load time of the adapter where it is not at hand
//! T = W + P + M + L                                               time to first token
//! cost = T · (1 + λ·P/(1−ρ)) + θ·B·P/(1−ρ)
//! ```
//!
//! The second factor is the delay that this request's work puts on those who come after it in a
//! busy period, with λ the arrivals per second and endpoint and ρ the share of time an endpoint
//! has a prefill to do. Near saturation the cost tends to queue × work, which is known to keep
//! such systems stable where choosing the shortest own wait does not. The last term keeps long
//! prefills away from endpoints that decode for many (B).
//!
//! `per_request` and `per_work` are learned per endpoint (see [`signals::PrefillPace`]), so fast
//! and slow hardware compare in seconds, and λ and ρ are measured. Only ratios of costs count.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::{AdapterState, Load, PrefillPace, Time};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{EndpointState, Field, Reads, Scorer};

/// Differences of cost below this do not matter.
const COST_FLOOR_SECS: f32 = 0.001;
/// Memory of the arrival rate.
const RATE_MEMORY: Duration = Duration::from_secs(30);
/// Memory of the share of busy endpoints.
const BUSY_MEMORY: Duration = Duration::from_secs(60);
/// The busy share is believed up to here; beyond, the externality would drown everything else.
const BUSY_MAX: f32 = 0.95;
/// First tokens after which half of an endpoint's pace is its own, half that of the pool.
const PACE_SAMPLES_HALF: f32 = 4.0;

pub(super) const KIND: Kind = Kind::new::<Parameters>("min-cost-scorer", Roles::SCORER).ours();

impl PluginType for Parameters {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let values = [
            ("decodeWeight", self.decode_weight),
            ("kvWaitSecs", self.kv_wait_secs),
            ("adapterLoadSecs", self.adapter_load_secs),
        ];
        for (path, value) in values {
            let fits = (0.0..=1e6).contains(&value);
            build.require(fits, path, value, "in [0, 1000000]");
        }
        Instance::scorer(MinCost {
            parameters: self,
            traffic: Mutex::default(),
        })
    }
}

/// The few constants that are not measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Parameters {
    /// θ: weight of the delay put on running decodes.
    decode_weight: f32,
    /// Seconds to wait per whole KV cache that is missing.
    kv_wait_secs: f32,
    /// Seconds to load an adapter into a free slot; twice that where all slots are taken.
    adapter_load_secs: f32,
    /// Tokens an answer is expected to have, for KV space; the client's limit when that is less.
    expected_output_tokens: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            decode_weight: 0.1,
            kv_wait_secs: 10.0,
            adapter_load_secs: 0.3,
            expected_output_tokens: 256,
        }
    }
}

/// Running averages over the traffic that the scorer is asked about.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    first: Time,
    last: Time,
    /// Decayed count of arrivals, per second of memory.
    rate: f64,
    busy: f32,
}

impl Traffic {
    /// Takes in an arrival that finds the share `busy` of endpoints with a prefill to do. Returns
    /// arrivals per second and the mean share.
    fn arrive(&mut self, busy: f32, now: Time) -> (f32, f32) {
        if self.last == Time::ZERO {
            (self.first, self.last, self.busy) = (now, now, busy);
        }
        let since = now.saturating_since(self.last).as_secs_f64();
        let fades = |memory: Duration| (-since / memory.as_secs_f64()).exp();
        self.rate = self.rate * fades(RATE_MEMORY) + 1.0 / RATE_MEMORY.as_secs_f64();
        self.busy += (1.0 - fades(BUSY_MEMORY) as f32) * (busy - self.busy);
        self.last = self.last.max(now);
        // Until the memory is full, the rate is over what time there was; at first, of a second.
        let lived = now.saturating_since(self.first).as_secs_f64().max(1.0);
        let full = 1.0 - (-lived / RATE_MEMORY.as_secs_f64()).exp();
        ((self.rate / full) as f32, self.busy.min(BUSY_MAX))
    }
}

/// What holds for all endpoints in one run.
struct Context<'a> {
    field: &'a Field<'a>,
    /// Mean pace of the endpoints that have one.
    pace: PrefillPace,
    /// Mean work of requests that are being prefilled, for queues that are not ours.
    work: f32,
    /// Arrivals per second and endpoint, and `1 / (1 − ρ)`.
    rate: f32,
    crowding: f32,
    output: f32,
    adapter_known: bool,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct MinCost {
    parameters: Parameters,
    traffic: Mutex<Traffic>,
}

impl MinCost {
    fn context<'a>(&self, field: &'a Field<'a>, kept: &[u32]) -> Context<'a> {
        let (mut busy, mut requests, mut work) = (0u32, 0u64, 0u64);
        let mut sum = PrefillPace {
            per_request_secs: 0.0,
            per_work_secs: 0.0,
            samples: 0,
        };
        let mut adapter_known = false;
        for &index in kept {
            let EndpointState { load, signals, .. } = field.state(index);
            busy += u32::from(load.before_first_token > 0);
            requests += load.before_first_token;
            work += load.prefill_work;
            if load.pace.samples > 0 {
                sum.per_request_secs += load.pace.per_request_secs;
                sum.per_work_secs += load.pace.per_work_secs;
                sum.samples += 1;
            }
            adapter_known = adapter_known || signals.reports_adapters && names(field, index);
        }
        let learned = sum.samples.max(1) as f32;
        let pace = PrefillPace {
            per_request_secs: sum.per_request_secs / learned,
            per_work_secs: sum.per_work_secs / learned,
            samples: sum.samples,
        };
        let share = busy as f32 / kept.len() as f32;
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, busy) = traffic.arrive(share, field.now);
        drop(traffic);
        let expected = u64::from(self.parameters.expected_output_tokens);
        Context {
            field,
            pace: if sum.samples == 0 {
                PrefillPace::default()
            } else {
                pace
            },
            work: work as f32 / requests.max(1) as f32,
            rate: rate / kept.len() as f32,
            crowding: 1.0 / (1.0 - busy),
            output: field.query.max_tokens.unwrap_or(expected).min(expected) as f32,
            adapter_known,
        }
    }

    fn cost(&self, context: &Context<'_>, index: u32) -> f32 {
        let EndpointState {
            signals,
            load,
            uncached_tokens,
            ..
        } = context.field.state(index);
        let pace = context.pace_of(load.pace);
        let cached = context
            .field
            .query
            .prompt_tokens
            .saturating_sub(*uncached_tokens);
        let prefill = pace.seconds(1.0, Load::work(*uncached_tokens, cached) as f32);
        let before_first_token = real(load.before_first_token);
        let mut queue = pace.seconds(before_first_token, real(load.prefill_work));
        let mut admission = 0.0;
        if signals.fresh {
            let waiting = signals.corrected.waiting as f32;
            let others = (waiting - before_first_token).max(0.0);
            queue += pace.seconds(others, others * context.work);
            let capacity = real(signals.kv_capacity_tokens());
            if capacity > 0.0 {
                // What waits has no space yet, and is in line before this request.
                let share_waiting = (waiting / before_first_token.max(1.0)).min(1.0);
                let in_line = real(load.prefill_tokens) * share_waiting;
                let need = in_line + real(*uncached_tokens) + context.output;
                let missing = (signals.scraped.kv_usage + need / capacity - 1.0).max(0.0);
                admission = self.parameters.kv_wait_secs * missing;
            }
        }
        let wait = queue + prefill + admission + self.adapter_wait(context, index);
        let harm = prefill * context.crowding;
        wait * (1.0 + context.rate * harm)
            + self.parameters.decode_weight * real(load.decoding()) * harm
    }

    fn adapter_wait(&self, context: &Context<'_>, index: u32) -> f32 {
        let reports = context.field.state(index).signals.reports_adapters;
        if !(reports && context.adapter_known) {
            return 0.0;
        }
        let adapters = context.field.endpoints[index as usize].signals().lora();
        match adapters.state_of(context.field.query.model) {
            AdapterState::Running => 0.0,
            AdapterState::RoomToLoad | AdapterState::Waiting => self.parameters.adapter_load_secs,
            AdapterState::Full => 2.0 * self.parameters.adapter_load_secs,
        }
    }
}

/// A count as a number. Counts here stay far below 2^63, and the signed conversion is one
/// instruction where the unsigned one is a branch.
fn real(count: u64) -> f32 {
    count as i64 as f32
}

/// Whether an endpoint has requests for the target model as an adapter. Only then is it known to
/// be one: a base model is not on these lists.
fn names(field: &Field<'_>, index: u32) -> bool {
    let adapters = field.endpoints[index as usize].signals().lora();
    let mut all = adapters.running.iter().chain(&adapters.waiting);
    all.any(|name| **name == *field.query.model)
}

impl Context<'_> {
    /// An endpoint's pace, drawn towards that of the pool while it has few samples.
    fn pace_of(&self, own: PrefillPace) -> PrefillPace {
        let samples = own.samples as f32;
        let trust = samples / (samples + PACE_SAMPLES_HALF);
        let blend = |own: f32, pool: f32| trust * own + (1.0 - trust) * pool;
        PrefillPace {
            per_request_secs: blend(own.per_request_secs, self.pace.per_request_secs),
            per_work_secs: blend(own.per_work_secs, self.pace.per_work_secs),
            samples: own.samples,
        }
    }
}

impl Scorer for MinCost {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX | Reads::QUEUE | Reads::KV | Reads::LORA
    }

    /// The least cost divided by each endpoint's cost.
    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let context = self.context(field, kept);
        let mut least = f32::INFINITY;
        for (out, &index) in out.iter_mut().zip(kept) {
            *out = self.cost(&context, index) + COST_FLOOR_SECS;
            least = least.min(*out);
        }
        for out in out {
            *out = least / *out;
        }
    }
}

#[cfg(test)]
mod tests;
