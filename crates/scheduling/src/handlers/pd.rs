//! `pd-profile-handler`: the older handler for prefill on an endpoint of its own.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data_parallel::port;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Decider, Next, ProfileHandler, ProfileSet, Ran, ScheduleError, Step, Verdict};

pub(super) const KIND: Kind =
    Kind::new::<Pd>("pd-profile-handler", Roles::HANDLER).deprecated("use disagg-profile-handler");

/// Decodes first, then prefills elsewhere if its decider says so. The prefill header is set by
/// `disagg-headers-handler`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pd {
    /// Profile of the endpoint that decodes.
    decode_profile: String,
    /// Profile of the endpoint that prefills.
    prefill_profile: String,
    /// Accepted for compatibility: deciders look at prefix matches themselves.
    prefix_plugin_type: String,
    /// Accepted for compatibility: deciders look at prefix matches themselves.
    prefix_plugin_name: String,
    /// Accepted for compatibility: deciders look at prefix matches themselves.
    prefix_match_info_producer_name: String,
    /// The port that all ranks of a pod are reached through; 0: each by its own.
    primary_port: i64,
    /// Name of the decider.
    decider_plugin_name: String,
}

impl Default for Pd {
    fn default() -> Self {
        Self {
            decode_profile: "decode".to_owned(),
            prefill_profile: "prefill".to_owned(),
            prefix_plugin_type: String::new(),
            prefix_plugin_name: String::new(),
            prefix_match_info_producer_name: String::new(),
            primary_port: 0,
            decider_plugin_name: "prefix-based-pd-decider".to_owned(),
        }
    }
}

#[derive(Debug)]
struct Handler {
    decode: Arc<str>,
    prefill: Arc<str>,
    decider: Arc<dyn Decider>,
    port: Option<u16>,
}

impl PluginType for Pd {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let port = port(self.primary_port, build);
        let Some(decider) = build.decider("deciderPluginName", &self.decider_plugin_name) else {
            return Instance::default();
        };
        let handler = Handler {
            decode: self.decode_profile.into(),
            prefill: self.prefill_profile.into(),
            decider,
            port,
        };
        Instance {
            handler: Some(Arc::new(handler)),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, "")
        .needing(Data::Tokens, "")
    }

    fn references(&self) -> Vec<String> {
        vec![self.decider_plugin_name.clone()]
    }
}

impl ProfileHandler for Handler {
    fn accepts(&self, profiles: &[Arc<str>]) -> Result<(), String> {
        if profiles.contains(&self.decode) {
            Ok(())
        } else {
            let decode = &self.decode;
            Err(format!(
                "there is no scheduling profile '{decode}' to decode with"
            ))
        }
    }

    fn next(&self, step: &Step<'_>) -> Next {
        let one = |at| Next {
            run: ProfileSet::one(at),
            peer: None,
        };
        let Some(decode) = step.index(&self.decode) else {
            return Next::default();
        };
        let target = match &step.ran[decode] {
            Ran::Not => return one(decode),
            ran => ran.target(),
        };
        let (Some(target), Some(prefill)) = (target, step.index(&self.prefill)) else {
            return Next::default();
        };
        let endpoints = step.field.endpoints.iter();
        let place = endpoints
            .map(|endpoint| endpoint.id())
            .position(|id| id == target.id());
        let place = place.and_then(|place| u32::try_from(place).ok());
        if matches!(step.ran[prefill], Ran::Not) && self.decider.disaggregate(step.field, place) {
            one(prefill)
        } else {
            Next::default()
        }
    }

    fn finish(&self, step: &Step<'_>) -> Result<Verdict, ScheduleError> {
        let decode = step.index(&self.decode);
        match decode.filter(|&at| step.ran[at].target().is_some()) {
            Some(primary) => Ok(Verdict {
                primary,
                serve_port: self.port,
            }),
            None => Err(ScheduleError::Unfinished(
                "failed to find available decode workers".to_owned(),
            )),
        }
    }
}
