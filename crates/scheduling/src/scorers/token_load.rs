//! `token-load-scorer`: how few prompt tokens an endpoint has to compute before it is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

const THRESHOLD_DEFAULT: f64 = 4_194_304.0;

pub(super) const KIND: Kind = Kind::new::<TokenLoad>("token-load-scorer", Roles::SCORER);

impl PluginType for TokenLoad {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let producer = self.in_flight_load_producer_name.clone();
        Instance::scorer(self)
            .needing(Data::InFlightLoad, &producer)
            .needing(Data::UncachedTokens, &producer)
    }
}

/// `1 − min(t, threshold) / threshold`, with `t` the uncached prompt tokens of our requests before
/// their first token plus those this request would add.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenLoad {
    /// Tokens at which the score is 0. Not above 0: the default.
    queue_threshold_tokens: i64,
    /// Name of the producer of in-flight load; the usual one when empty.
    in_flight_load_producer_name: String,
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
            let own = field.state(index).uncached_tokens;
            let tokens = (field.tokens_in_flight(index) + own) as f64;
            *out = (1.0 - tokens.min(threshold) / threshold) as f32;
        }
    }
}
