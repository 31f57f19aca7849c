//! `always-disagg-pd-decider`: every request is prefilled elsewhere.

use std::sync::Arc;

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Decider, Field, parameterless};

pub(super) const KIND: Kind =
    Kind::new::<Always>("always-disagg-pd-decider", Roles::DECIDER).lenient();

parameterless!(Always);

impl PluginType for Always {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance {
            decider: Some(Arc::new(self)),
            ..Instance::default()
        }
    }
}

impl Decider for Always {
    fn disaggregate(&self, _: &Field<'_>, _: Option<u32>) -> bool {
        true
    }
}
