//! `prefix-cache-scorer`: how much of the prompt an endpoint is believed to hold.

use serde::Deserialize;

use crate::registry::parameters;
use crate::{Factory, Field, ParameterError, Plugin, Reads, Scorer};

pub(crate) const FACTORY: Factory = Factory {
    kind: "prefix-cache-scorer",
    build: |value| {
        let scorer: PrefixCache = parameters(value)?;
        scorer.check()?;
        Ok(Plugin::Scorer(Box::new(scorer)))
    },
};

/// `(1 − w)·r + w·min(1, matched tokens ÷ scale)²`, with `r` the share of the prompt's blocks that
/// match. By default `w` is 0 and the score is `r`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct PrefixCache {
    /// `w`, in 0..=1.
    match_length_weight: f32,
    /// Matched tokens at which the second term is full; above 0 when `w` is.
    match_length_scale_tokens: f32,
}

impl Default for PrefixCache {
    fn default() -> Self {
        Self {
            match_length_weight: 0.0,
            match_length_scale_tokens: 8192.0,
        }
    }
}

impl PrefixCache {
    fn check(&self) -> Result<(), ParameterError> {
        let range = |field, value: f32, allowed| {
            Err(ParameterError::Range {
                field,
                value: value.to_string(),
                allowed,
            })
        };
        if !(0.0..=1.0).contains(&self.match_length_weight) {
            return range(
                "matchLengthWeight",
                self.match_length_weight,
                "it must lie in [0, 1]",
            );
        }
        if self.match_length_weight > 0.0 && self.match_length_scale_tokens <= 0.0 {
            let allowed = "it must be above 0 when matchLengthWeight is";
            return range(
                "matchLengthScaleTokens",
                self.match_length_scale_tokens,
                allowed,
            );
        }
        Ok(())
    }
}

impl Scorer for PrefixCache {
    fn reads(&self) -> Reads {
        Reads::PREFIX
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let total = field.query.blocks.len();
        if total == 0 {
            return;
        }
        let weight = self.match_length_weight;
        for (score, &index) in out.iter_mut().zip(kept) {
            let matched = field.state(index).matched_blocks;
            let share = matched as f32 / total as f32;
            let tokens = matched as f32 * field.query.block_tokens as f32;
            let length = if weight > 0.0 {
                (tokens / self.match_length_scale_tokens).min(1.0).powi(2)
            } else {
                0.0
            };
            *score = weight * length + (1.0 - weight) * share;
        }
    }
}
