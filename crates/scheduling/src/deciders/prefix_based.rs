//! `prefix-based-pd-decider`: prompts of which the decoding endpoint holds too little are prefilled
//! elsewhere.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Decider, Field, SourceId};

pub(super) const KIND: Kind = Kind::new::<PrefixBased>("prefix-based-pd-decider", Roles::DECIDER);

/// Yes if the prompt has `promptTokens` or more, of which the endpoint would have to compute
/// `nonCachedTokens` or more.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PrefixBased {
    /// Tokens to compute from which on it is worth it; 0: never.
    non_cached_tokens: i64,
    /// Tokens a prompt must have.
    prompt_tokens: i64,
}

impl PluginType for PrefixBased {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let tokens = self.non_cached_tokens;
        build.require(tokens >= 0, "nonCachedTokens", tokens, ">= 0");
        let tokens = self.prompt_tokens;
        build.require(tokens >= 0, "promptTokens", tokens, ">= 0");
        Instance {
            decider: Some(Arc::new(self)),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, "")
        .needing(Data::Tokens, "")
    }
}

impl Decider for PrefixBased {
    fn disaggregate(&self, field: &Field<'_>, endpoint: Option<u32>) -> bool {
        let at_least = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
        let (uncached, prompt) = (
            at_least(self.non_cached_tokens),
            at_least(self.prompt_tokens),
        );
        let query = field.query;
        let Some(endpoint) = endpoint.filter(|_| uncached > 0 && !query.blocks.is_empty()) else {
            return false;
        };
        let cached = query.tokens_in(field.matched(SourceId::POOL, endpoint));
        query.prompt_tokens >= prompt && query.prompt_tokens - cached >= uncached
    }
}
