//! `context-length-aware`: endpoints set up for prompts of the request's length. A scorer, and a
//! filter too if asked.

use std::sync::Arc;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Filter, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<ContextLengthAware>("context-length-aware", Roles::SCORER.and(Roles::FILTER));

/// Reads a label `min-max` of tokens. Prompts within it score by how narrow the range is and how
/// much room is left; those outside by how far outside.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContextLengthAware {
    /// The label.
    label: String,
    /// Drop endpoints whose range does not hold the prompt.
    enable_filtering: bool,
}

impl Default for ContextLengthAware {
    fn default() -> Self {
        Self {
            label: "llm-d.ai/context-length-range".to_owned(),
            enable_filtering: false,
        }
    }
}

impl PluginType for ContextLengthAware {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.label.is_empty() {
            build.fault("label", "label is empty, want the key of a pod label");
        }
        let filters = self.enable_filtering;
        let plugin = Arc::new(self);
        Instance {
            filter: filters.then(|| plugin.clone() as Arc<dyn Filter>),
            scorer: Some(plugin),
            ..Instance::default()
        }
        .needing(Data::Tokens, "")
    }
}

/// Reads `min-max`; `None` if it is not that.
pub(crate) fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (least, most) = text.split_once('-')?;
    let (least, most) = (least.trim().parse().ok()?, most.trim().parse().ok()?);
    (least <= most).then_some((least, most))
}

fn score(tokens: u64, (least, most): (u64, u64)) -> f64 {
    if (least..=most).contains(&tokens) {
        let width = (most - least) as f64;
        if width == 0.0 {
            return 1.0;
        }
        let room = (most - tokens) as f64 / width;
        0.3 + 0.7 * (0.7 / (1.0 + width / 10_000.0) + 0.3 * room)
    } else {
        let distance = if tokens < least {
            least - tokens
        } else {
            tokens - most
        };
        0.3 / (1.0 + distance as f64 / 1_000.0)
    }
}

impl Scorer for ContextLengthAware {
    fn reads(&self) -> Reads {
        Reads::LABELS
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        let tokens = field.query.prompt_tokens;
        for (out, &index) in out.iter_mut().zip(kept) {
            *out = match field.label(index, &self.label) {
                None => 0.5,
                Some(label) => parse_range(label).map_or(0.0, |range| score(tokens, range) as f32),
            };
        }
    }
}

impl Filter for ContextLengthAware {
    fn reads(&self) -> Reads {
        Reads::LABELS
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let tokens = field.query.prompt_tokens;
        kept.retain(|&index| match field.label(index, &self.label) {
            None => true,
            Some(label) => {
                let range = parse_range(label);
                range.is_some_and(|(least, most)| (least..=most).contains(&tokens))
            }
        });
    }
}
