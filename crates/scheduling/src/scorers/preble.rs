//! `preble-scorer`: the rule of Preble (E2). Requests that are mostly cached exploit the cache,
//! others go where they cost the fleet least.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::{Endpoint, Load, Time};

use crate::cost::costs_to_scores;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Effects, Field, Keeper, Placed, PreRequest, Reads, Scorer, Ticket};

pub(super) const KIND: Kind =
    Kind::new::<Preble>("preble-scorer", Roles::SCORER.and(Roles::PRE_REQUEST)).ours();

/// Parts that the window of past load is kept in.
const PARTS: usize = 18;
/// Work of one decoded token in units of a prefilled one without context: decoding reads all
/// weights for few tokens.
const DECODE_WORK: f64 = 20.0;

/// More of the prompt cached than not, somewhere: the cheapest of the endpoints that hold it
/// ("exploit"), unless it has more than `imbalance` times the load of the least. Otherwise the
/// least of past load + own prefill + what eviction costs the others ("explore").
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Preble {
    /// Seconds of past load that count, above 0.
    window_secs: f64,
    /// Share of the prompt that must be cached to exploit, in [0, 1].
    exploit_threshold: f32,
    /// How many times the least load an endpoint may have, 1 or more.
    imbalance: f64,
}

impl Default for Preble {
    fn default() -> Self {
        Self {
            window_secs: 180.0,
            exploit_threshold: 0.5,
            imbalance: 1.5,
        }
    }
}

/// Work given to one endpoint lately, and how much of its prompts it had to compute.
#[derive(Debug, Default)]
struct Past {
    parts: [f64; PARTS],
    current: u64,
}

impl Past {
    /// Moves on to the part that `now` lies in.
    fn advance(&mut self, now: Time, part: Duration) {
        let number = (now.as_nanos() as u128 / part.as_nanos().max(1)) as u64;
        let steps = number.saturating_sub(self.current).min(PARTS as u64);
        for step in 1..=steps {
            self.parts[(number - steps + step) as usize % PARTS] = 0.0;
        }
        self.current = self.current.max(number);
    }

    fn add(&mut self, work: f64) {
        self.parts[self.current as usize % PARTS] += work;
    }

    fn sum(&self) -> f64 {
        self.parts.iter().sum()
    }
}

#[derive(Debug)]
struct Router {
    parameters: Preble,
    part: Duration,
    past: Mutex<HashMap<u32, Arc<Mutex<Past>>>>,
}

impl PluginType for Preble {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let window = self.window_secs;
        build.require(window > 0.0, "windowSecs", window, "> 0");
        let share = self.exploit_threshold;
        build.require(
            (0.0..=1.0).contains(&share),
            "exploitThreshold",
            share,
            "in [0, 1]",
        );
        build.require(self.imbalance >= 1.0, "imbalance", self.imbalance, ">= 1");
        let part = Duration::try_from_secs_f64(window / PARTS as f64);
        let router = Arc::new(Router {
            parameters: self,
            part: part.unwrap_or(Duration::from_secs(10)),
            past: Mutex::default(),
        });
        Instance {
            scorer: Some(router.clone()),
            placed: Some(router.clone()),
            keeper: Some(router),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, "")
    }
}

impl Router {
    fn past_of(&self, endpoint: u32) -> Arc<Mutex<Past>> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(past.entry(endpoint).or_default())
    }

    fn load(&self, endpoint: u32, now: Time) -> f64 {
        let past = self.past_of(endpoint);
        let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
        past.advance(now, self.part);
        past.sum()
    }
}

impl Scorer for Router {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX | Reads::KV
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let query = field.query;
        let cached = |index: u32| query.prompt_tokens - field.state(index).uncached_tokens;
        let most = kept.iter().map(|&index| cached(index)).max().unwrap_or(0);
        let share = most as f32 / query.prompt_tokens.max(1) as f32;
        let exploit = most > 0 && share > self.parameters.exploit_threshold;
        let mut least = f64::INFINITY;
        for (out, &index) in out.iter_mut().zip(kept) {
            let load = self.load(field.endpoints[index as usize].id(), field.now);
            least = least.min(load);
            *out = load as f32;
        }
        let bound = (self.parameters.imbalance * least) as f32;
        let fits = |index: u32, load: f32| cached(index) == most && (load <= bound || least == 0.0);
        let any = exploit
            && kept
                .iter()
                .zip(&*out)
                .any(|(&index, &load)| fits(index, load));
        for (out, &index) in out.iter_mut().zip(kept) {
            let state = field.state(index);
            let own = Load::work(state.uncached_tokens, cached(index)) as f32;
            // A full cache gives up as much as it takes in.
            let eviction = own * state.signals.scraped.kv_usage.clamp(0.0, 1.0);
            *out = if any && !fits(index, *out) {
                f32::MAX
            } else {
                *out + own + eviction
            };
        }
        costs_to_scores(out, 1.0);
    }
}

impl PreRequest for Router {
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects) {
        let chosen = placed.ran[placed.primary].decision();
        if let Some(choice) = chosen.and_then(|decision| decision.ranked.first()) {
            let past = self.past_of(choice.endpoint.id());
            {
                let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
                past.advance(placed.field.now, self.part);
                past.add(choice.load.prefill_work as f64);
            }
            effects.tickets.push(Box::new(Decoding {
                past,
                part: self.part,
            }));
        }
    }
}

impl Keeper for Router {
    fn forget(&self, endpoint: &Endpoint) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.remove(&endpoint.id());
    }
}

/// A request whose output is yet to be counted.
#[derive(Debug)]
struct Decoding {
    past: Arc<Mutex<Past>>,
    part: Duration,
}

impl Ticket for Decoding {
    fn completed(&mut self, output_tokens: Option<u64>, now: Time) {
        if let Some(tokens) = output_tokens {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            past.advance(now, self.part);
            past.add(tokens as f64 * DECODE_WORK);
        }
    }
}
