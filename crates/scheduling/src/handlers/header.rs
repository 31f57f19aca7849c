//! `header-profile-handler`: a request header names the profile.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Next, ProfileHandler, ProfileSet, Query, Ran, ScheduleError, Step, Verdict};

pub(super) const KIND: Kind =
    Kind::new::<HeaderProfile>("header-profile-handler", Roles::HANDLER).alpha();

/// Runs the profile that the header names. With one profile configured, always that one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HeaderProfile {
    /// The header, in any case; the usual one when blank.
    header_name: String,
    /// The profile of requests without the header; the usual one when blank.
    default_profile: String,
}

impl Default for HeaderProfile {
    fn default() -> Self {
        Self {
            header_name: "epp-profile".to_owned(),
            default_profile: "decode".to_owned(),
        }
    }
}

impl PluginType for HeaderProfile {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance {
            handler: Some(Arc::new(self.filled())),
            ..Instance::default()
        }
    }
}

impl HeaderProfile {
    pub(super) fn filled(self) -> Self {
        let usual = Self::default();
        let or = |given: &str, usual: String| {
            let given = given.trim();
            if given.is_empty() {
                usual
            } else {
                given.to_owned()
            }
        };
        Self {
            header_name: or(&self.header_name.to_ascii_lowercase(), usual.header_name),
            default_profile: or(&self.default_profile, usual.default_profile),
        }
    }

    fn wanted<'q>(&'q self, query: &Query<'q>) -> &'q str {
        let named = query.headers.get(&self.header_name);
        named.unwrap_or(&self.default_profile)
    }

    fn index(&self, step: &Step<'_>) -> Option<usize> {
        if step.profiles.len() == 1 {
            return Some(0);
        }
        step.index(self.wanted(step.field.query))
    }
}

impl ProfileHandler for HeaderProfile {
    fn next(&self, step: &Step<'_>) -> Next {
        let fresh = |at: &usize| matches!(step.ran[*at], Ran::Not);
        let run = match self.index(step).filter(fresh) {
            Some(index) => ProfileSet::one(index),
            None => ProfileSet::NONE,
        };
        Next { run, peer: None }
    }

    fn finish(&self, step: &Step<'_>) -> Result<Verdict, ScheduleError> {
        let wanted = self.wanted(step.field.query);
        let Some(primary) = self.index(step) else {
            return Err(ScheduleError::Unfinished(format!(
                "no scheduling profile configured for \"{}\" header value \"{wanted}\"",
                self.header_name
            )));
        };
        match &step.ran[primary] {
            Ran::Chose(_) => Ok(Verdict {
                primary,
                serve_port: None,
            }),
            Ran::Failed(ScheduleError::FilteredOut { filter, before }) => {
                Err(ScheduleError::Unfinished(format!(
                    "failed to run scheduler profile '{}': filter {filter} left none of {before} endpoints",
                    step.profiles[primary]
                )))
            }
            Ran::Failed(error) => Err(error.clone()),
            Ran::Not => Err(ScheduleError::Unfinished(format!(
                "failed to run scheduler profile '{}'",
                step.profiles[primary]
            ))),
        }
    }
}
