//! `single-profile-handler`: the one profile there is.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Next, ProfileHandler, ProfileSet, Ran, ScheduleError, Step, Verdict};

pub(super) const KIND: Kind =
    Kind::new::<Single>("single-profile-handler", Roles::HANDLER).lenient();

/// Runs the profile and takes its choice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Single {}

impl PluginType for Single {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance {
            handler: Some(Arc::new(self)),
            ..Instance::default()
        }
    }
}

impl ProfileHandler for Single {
    fn accepts(&self, profiles: &[Arc<str>]) -> Result<(), String> {
        match profiles.len() {
            1 => Ok(()),
            more => Err(format!(
                "SingleProfileHandler cannot support multiple scheduling profiles, there are {more}"
            )),
        }
    }

    fn next(&self, step: &Step<'_>) -> Next {
        let waiting = |ran: &Ran| matches!(ran, Ran::Not);
        let run = match step.ran.first() {
            Some(ran) if waiting(ran) => ProfileSet::one(0),
            _ => ProfileSet::NONE,
        };
        Next { run, peer: None }
    }

    fn finish(&self, step: &Step<'_>) -> Result<Verdict, ScheduleError> {
        match step.ran {
            [Ran::Chose(_)] => Ok(Verdict::default()),
            [Ran::Failed(error)] => Err(error.clone()),
            _ => Err(ScheduleError::Unfinished(format!(
                "single profile handler is intended to be used with a single profile, there are {}",
                step.ran.len()
            ))),
        }
    }
}
