//! `always-disagg-multimodal-decider`: requests with images, sound or video are encoded elsewhere.

use std::sync::Arc;

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Decider, Field, parameterless};

pub(super) const KIND: Kind =
    Kind::new::<Multimodal>("always-disagg-multimodal-decider", Roles::DECIDER).lenient();

parameterless!(Multimodal);

impl PluginType for Multimodal {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance {
            decider: Some(Arc::new(self)),
            ..Instance::default()
        }
        .needing(Data::Tokens, "")
    }
}

impl Decider for Multimodal {
    fn disaggregate(&self, field: &Field<'_>, _: Option<u32>) -> bool {
        !field.query.media.is_empty()
    }
}
