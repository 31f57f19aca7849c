//! `token-load-scorer`: how few prompt tokens an endpoint has to compute before it is done.

use serde::Deserialize;

use crate::registry::parameters;
use crate::{Factory, Field, Plugin, Reads, Scorer};

const THRESHOLD_DEFAULT: f64 = 4_194_304.0;

pub(crate) const FACTORY: Factory = Factory {
    kind: "token-load-scorer",
    build: |value| Ok(Plugin::Scorer(Box::new(parameters::<TokenLoad>(value)?))),
};

/// `1 − min(t, threshold) / threshold`, with `t` the uncached prompt tokens of our requests before
/// their first token plus those this request would add.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct TokenLoad {
    /// Tokens at which the score is 0. Not above 0: the default.
    queue_threshold_tokens: i64,
    /// Accepted for compatibility: there is one in-flight ledger.
    #[serde(rename = "inFlightLoadProducerName")]
    _in_flight_load_producer_name: Option<String>,
}

impl Scorer for TokenLoad {
    fn reads(&self) -> Reads {
        Reads::LEDGER | Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let threshold = match self.queue_threshold_tokens {
            given if given > 0 => given as f64,
            _ => THRESHOLD_DEFAULT,
        };
        for (out, &index) in out.iter_mut().zip(kept) {
            let state = field.state(index);
            let tokens = (state.load.prefill_tokens + state.uncached_tokens) as f64;
            *out = (1.0 - tokens.min(threshold) / threshold) as f32;
        }
    }
}
