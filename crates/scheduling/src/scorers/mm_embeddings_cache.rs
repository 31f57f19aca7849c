//! `mm-embeddings-cache-scorer`: how much of the request's media an endpoint has encoded already.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Reads, Scorer};

pub(super) const KIND: Kind =
    Kind::new::<MmEmbeddingsCache>("mm-embeddings-cache-scorer", Roles::SCORER);

/// Items of the request that the endpoint holds ÷ items of the request; 0 without any.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MmEmbeddingsCache {
    /// Name of the producer; the usual one when empty.
    producer_name: String,
}

impl PluginType for MmEmbeddingsCache {
    fn build(self, _: &mut Build<'_>) -> Instance {
        let producer = self.producer_name.clone();
        Instance::scorer(self).needing(Data::MediaMatch, &producer)
    }
}

impl Scorer for MmEmbeddingsCache {
    fn reads(&self) -> Reads {
        Reads::MEDIA
    }

    fn score(&self, field: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        for (out, &index) in out.iter_mut().zip(kept) {
            *out = field.findings.media_share(index).unwrap_or(0.0);
        }
    }
}
