//! `disagg-profile-handler`: prefill, decode and encoding of media on endpoints of their own.
//!
//! The endpoint that decodes gets the request. Which endpoints work for it stands in headers, which
//! the sidecar of the decoding pod reads.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disagg_headers::StageHeaders;
use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Decider, Next, ProfileHandler, ProfileSet, Ran, ScheduleError, Step, Verdict};

pub(super) const KIND: Kind = Kind::new::<Disagg>(
    "disagg-profile-handler",
    Roles::HANDLER.and(Roles::PRE_REQUEST),
);

/// Which stage is placed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum StageOrder {
    /// The decoding endpoint is chosen first; deciders know how much of the prompt it holds.
    #[default]
    #[serde(rename = "decode-first", alias = "decodefirst", alias = "decode")]
    DecodeFirst,
    /// The prefilling endpoint is chosen first, for every request.
    #[serde(rename = "prefill-first", alias = "prefillfirst", alias = "prefill")]
    PrefillFirst,
}

/// Names of the profiles.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Profiles {
    #[serde(skip_serializing_if = "Option::is_none")]
    decode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encode: Option<String>,
}

/// Names of the deciders; a stage without one is skipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Deciders {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encode: Option<String>,
}

/// The parameters: the nested form, or the older flat one, but not both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Disagg {
    /// Which stage is placed first.
    stage_order: StageOrder,
    /// Names of the profiles, those of the stages when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    profiles: Option<Profiles>,
    /// Names of the deciders.
    #[serde(skip_serializing_if = "Option::is_none")]
    deciders: Option<Deciders>,
    /// Deprecated: `profiles.decode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_profile: Option<String>,
    /// Deprecated: `profiles.prefill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill_profile: Option<String>,
    /// Deprecated: `profiles.encode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    encode_profile: Option<String>,
    /// Deprecated: `deciders.prefill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill_decider_plugin_name: Option<String>,
    /// Deprecated: `deciders.encode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    encode_decider_plugin_name: Option<String>,
    /// Deprecated: `deciders.prefill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decider_plugin_name: Option<String>,
}

fn given(name: &Option<String>) -> Option<&str> {
    name.as_deref().filter(|name| !name.is_empty())
}

impl Disagg {
    fn is_flat(&self) -> bool {
        let flat = [
            &self.decode_profile,
            &self.prefill_profile,
            &self.encode_profile,
            &self.prefill_decider_plugin_name,
            &self.encode_decider_plugin_name,
            &self.decider_plugin_name,
        ];
        flat.into_iter().any(Option::is_some)
    }

    fn prefill_decider(&self) -> Option<&str> {
        let nested = self.deciders.as_ref();
        nested
            .and_then(|deciders| given(&deciders.prefill))
            .or_else(|| given(&self.prefill_decider_plugin_name))
            .or_else(|| given(&self.decider_plugin_name))
    }

    fn encode_decider(&self) -> Option<&str> {
        let nested = self.deciders.as_ref();
        nested
            .and_then(|deciders| given(&deciders.encode))
            .or_else(|| given(&self.encode_decider_plugin_name))
    }

    fn stage(
        &self,
        nested: fn(&Profiles) -> &Option<String>,
        flat: &Option<String>,
        usual: &str,
    ) -> Arc<str> {
        let nested = self
            .profiles
            .as_ref()
            .and_then(|profiles| given(nested(profiles)));
        nested.or_else(|| given(flat)).unwrap_or(usual).into()
    }
}

impl PluginType for Disagg {
    fn build(self, build: &mut Build<'_>) -> Instance {
        if self.is_flat() && (self.profiles.is_some() || self.deciders.is_some()) {
            let message = "mixes profiles/deciders with the older flat fields, want one form";
            build.fault("", message);
        }
        let prefill_first = self.stage_order == StageOrder::PrefillFirst;
        if prefill_first && self.prefill_decider().is_some() {
            let message = "a prefill decider cannot be combined with stageOrder prefill-first, where prefill always runs";
            build.fault("deciders.prefill", message);
        }
        let prefill_decider = self
            .prefill_decider()
            .and_then(|name| build.decider("deciders.prefill", name));
        let encode_decider = self
            .encode_decider()
            .and_then(|name| build.decider("deciders.encode", name));
        let prefill = self.stage(|p| &p.prefill, &self.prefill_profile, "prefill");
        let encode = self.stage(|p| &p.encode, &self.encode_profile, "encode");
        let handler = Handler {
            prefill_first,
            decode: self.stage(|p| &p.decode, &self.decode_profile, "decode"),
            prefill: Arc::clone(&prefill),
            encode: Arc::clone(&encode),
            prefill_decider,
            encode_decider,
        };
        Instance {
            handler: Some(Arc::new(handler)),
            placed: Some(Arc::new(StageHeaders { prefill, encode })),
            ..Instance::default()
        }
        .needing(Data::PrefixMatch, "")
        .needing(Data::Tokens, "")
    }

    fn references(&self) -> Vec<String> {
        let names = [self.prefill_decider(), self.encode_decider()];
        names.into_iter().flatten().map(str::to_owned).collect()
    }
}

#[derive(Debug)]
struct Handler {
    prefill_first: bool,
    decode: Arc<str>,
    prefill: Arc<str>,
    encode: Arc<str>,
    prefill_decider: Option<Arc<dyn Decider>>,
    encode_decider: Option<Arc<dyn Decider>>,
}

/// Where a stage stands.
enum Stage<'a> {
    /// Its profile is not configured.
    Absent,
    /// Its profile has not run.
    Waiting(usize),
    /// Its profile has run.
    Ran(&'a Ran),
}

fn stage<'a>(step: &Step<'a>, profile: &str) -> Stage<'a> {
    match step.index(profile) {
        None => Stage::Absent,
        Some(at) => match &step.ran[at] {
            Ran::Not => Stage::Waiting(at),
            ran => Stage::Ran(ran),
        },
    }
}

impl Handler {
    /// The profile of a stage that has not run and that its decider wants.
    fn wanted(
        step: &Step<'_>,
        profile: &str,
        decider: Option<&Arc<dyn Decider>>,
        endpoint: Option<u32>,
    ) -> Option<usize> {
        let Stage::Waiting(at) = stage(step, profile) else {
            return None;
        };
        decider?.disaggregate(step.field, endpoint).then_some(at)
    }

    fn decode_first(&self, step: &Step<'_>) -> Next {
        let target = match stage(step, &self.decode) {
            Stage::Waiting(at) => {
                return Next {
                    run: ProfileSet::one(at),
                    peer: None,
                };
            }
            Stage::Ran(ran) => ran.target(),
            Stage::Absent => None,
        };
        let Some(target) = target else {
            return Next::default();
        };
        let endpoints = step.field.endpoints.iter();
        let place = endpoints
            .map(|endpoint| endpoint.id())
            .position(|id| id == target.id());
        let place = place.and_then(|place| u32::try_from(place).ok());
        if let Some(at) = Self::wanted(step, &self.encode, self.encode_decider.as_ref(), place) {
            return Next {
                run: ProfileSet::one(at),
                peer: None,
            };
        }
        match Self::wanted(step, &self.prefill, self.prefill_decider.as_ref(), place) {
            Some(at) => Next {
                run: ProfileSet::one(at),
                peer: Some(Arc::clone(target)),
            },
            None => Next::default(),
        }
    }

    fn prefill_first(&self, step: &Step<'_>) -> Next {
        let one = |at| ProfileSet::one(at);
        let prefill = stage(step, &self.prefill);
        if let Stage::Waiting(at) = prefill {
            return Next {
                run: one(at),
                peer: None,
            };
        }
        if let Some(at) = Self::wanted(step, &self.encode, self.encode_decider.as_ref(), None) {
            return Next {
                run: one(at),
                peer: None,
            };
        }
        let peer = match prefill {
            Stage::Ran(ran) => ran.target().cloned(),
            Stage::Absent | Stage::Waiting(_) => None,
        };
        match stage(step, &self.decode) {
            Stage::Waiting(at) => Next { run: one(at), peer },
            Stage::Absent | Stage::Ran(_) => Next::default(),
        }
    }
}

impl ProfileHandler for Handler {
    fn accepts(&self, profiles: &[Arc<str>]) -> Result<(), String> {
        if profiles.contains(&self.decode) {
            Ok(())
        } else {
            Err(format!(
                "there is no scheduling profile '{}' to decode with; name it in profiles.decode",
                self.decode
            ))
        }
    }

    fn next(&self, step: &Step<'_>) -> Next {
        if self.prefill_first {
            self.prefill_first(step)
        } else {
            self.decode_first(step)
        }
    }

    fn finish(&self, step: &Step<'_>) -> Result<Verdict, ScheduleError> {
        let primary = step.index(&self.decode);
        let chosen = primary.filter(|&at| step.ran[at].target().is_some());
        match chosen {
            Some(primary) => Ok(Verdict {
                primary,
                serve_port: None,
            }),
            None => Err(ScheduleError::Unfinished(
                "failed to find available decode workers".to_owned(),
            )),
        }
    }
}
