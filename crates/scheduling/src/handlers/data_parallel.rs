//! `data-parallel-profile-handler`: pods whose ranks are reached through one port.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Single;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Next, ProfileHandler, ScheduleError, Step, Verdict};

pub(super) const KIND: Kind =
    Kind::new::<DataParallel>("data-parallel-profile-handler", Roles::HANDLER);

/// Runs the one profile; the request goes to `primaryPort` of the chosen address, and the header
/// `x-data-parallel-host-port` names the rank that was chosen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DataParallel {
    /// The port that all ranks of a pod are reached through; 0: each by its own.
    primary_port: i64,
}

impl Default for DataParallel {
    fn default() -> Self {
        Self { primary_port: 8000 }
    }
}

/// The port of a parameter: 0 = none.
pub(super) fn port(port: i64, build: &mut Build<'_>) -> Option<u16> {
    let fits = u16::try_from(port);
    build.require(fits.is_ok(), "primaryPort", port, "0 or in 1..65535");
    fits.ok().filter(|port| *port != 0)
}

#[derive(Debug)]
struct Handler {
    port: Option<u16>,
}

impl PluginType for DataParallel {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let port = port(self.primary_port, build);
        Instance {
            handler: Some(Arc::new(Handler { port })),
            ..Instance::default()
        }
    }
}

impl ProfileHandler for Handler {
    fn accepts(&self, profiles: &[Arc<str>]) -> Result<(), String> {
        match profiles.len() {
            1 => Ok(()),
            more => Err(format!(
                "data-parallel-profile-handler takes exactly one scheduling profile, there are {more}"
            )),
        }
    }

    fn next(&self, step: &Step<'_>) -> Next {
        Single {}.next(step)
    }

    fn finish(&self, step: &Step<'_>) -> Result<Verdict, ScheduleError> {
        Ok(Verdict {
            serve_port: self.port,
            ..Single {}.finish(step)?
        })
    }
}
