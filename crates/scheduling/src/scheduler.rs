//! Everything that decides about a pool's requests: profiles, and the plugins around them.

use std::sync::Arc;

use http::HeaderMap;
use rand::Rng;
use signals::{Endpoint, Time};
use smallvec::SmallVec;

use crate::config::{Effective, Layout};
use crate::hooks::{Attribute, absorb};
use crate::profile::{Named, count};
use crate::{
    Admitter, Decision, Effects, Flight, HeaderChanges, HeaderReader, Keeper, Next, Placed,
    PreRequest, PrefixIndex, Produced, Producer, Profile, ProfileHandler, ProfileSet, Query, Ran,
    Reads, Report, Reporter, ResponseHeaders, ScheduleError, Scratch, Screener, Step, TokenUsage,
    Verdict,
};

/// What a request's scheduling came to.
#[derive(Debug)]
pub struct Scheduled {
    /// The endpoints, best first, and why.
    pub decision: Decision,
    /// Changes to make to the request's headers.
    pub headers: HeaderChanges,
    /// To be kept until the request has ended.
    pub flight: Flight,
}

/// The plugins around the profiles, in the order of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) headers: Vec<Named<dyn HeaderReader>>,
    pub(crate) screeners: Vec<Named<dyn Screener>>,
    pub(crate) producers: Vec<Named<dyn Producer>>,
    pub(crate) admitters: Vec<Named<dyn Admitter>>,
    pub(crate) placed: Vec<Named<dyn PreRequest>>,
    pub(crate) answered: Vec<Named<dyn ResponseHeaders>>,
    pub(crate) reporters: Vec<Named<dyn Reporter>>,
    pub(crate) keepers: Vec<Named<dyn Keeper>>,
}

/// Chooses endpoints for requests. One per pool: some plugins keep running averages of the traffic
/// they see, or remember sessions.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) profiles: Vec<Profile>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) handler: Named<dyn ProfileHandler>,
    pub(crate) hooks: Hooks,
    pub(crate) layout: Layout,
    pub(crate) effective: Effective,
}

impl From<Profile> for Scheduler {
    /// A scheduler that runs one profile and nothing else.
    fn from(profile: Profile) -> Self {
        Self {
            names: vec![Arc::clone(profile.name())],
            profiles: vec![profile],
            handler: Named {
                name: "single-profile-handler".into(),
                plugin: Arc::new(crate::handlers::Single {}),
            },
            hooks: Hooks::default(),
            layout: Layout::default(),
            effective: Effective::default(),
        }
    }
}

impl Scheduler {
    /// Our own profile, used when nothing is configured.
    #[must_use]
    pub fn standard() -> Self {
        Profile::default_profile().into()
    }

    /// Takes turns, looking at nothing but health: the baseline of comparisons.
    #[must_use]
    pub fn round_robin() -> Self {
        Profile::round_robin_profile().into()
    }

    /// The configuration in force, with all defaults filled in, and what it asks of the rim.
    #[must_use]
    pub fn effective(&self) -> &Effective {
        &self.effective
    }

    /// The profiles.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Everything its plugins read.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let profiles = self.profiles.iter().map(Profile::reads);
        profiles.fold(self.layout.reads, |all, reads| all | reads)
    }

    /// What plugins read from the headers of a request, before it is admitted. The fact
    /// `agent-identity` stands in for the fairness id of a request that names none.
    #[must_use]
    pub fn facts_of(&self, headers: &HeaderMap) -> SmallVec<[Attribute; 2]> {
        let readers = self.hooks.headers.iter();
        readers
            .filter_map(|reader| reader.plugin.read(headers))
            .collect()
    }

    /// Chooses endpoints for a request. `index` is the pool's own prefix index.
    ///
    /// # Errors
    /// [`ScheduleError`] when no endpoint is left to choose or the request is refused.
    pub fn schedule(
        &self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
        index: &PrefixIndex,
        scratch: &mut Scratch,
        now: Time,
        rng: &mut impl Rng,
    ) -> Result<Scheduled, ScheduleError> {
        let query = &self.layout.cut(query);
        scratch.survey(query, endpoints, index, now);
        scratch
            .findings
            .reset(self.layout.slots, self.layout.beside.len());
        scratch.confine(query, endpoints)?;
        if self.layout.looks_around {
            self.look_around(query, endpoints, scratch, now, rng)?;
        }
        let mut ran: SmallVec<[Ran; 2]> = self.profiles.iter().map(|_| Ran::Not).collect();
        self.run_profiles(query, endpoints, scratch, now, rng, &mut ran)?;
        let (field, _, _) = scratch.split(query, endpoints, now);
        let step = Step {
            field: &field,
            profiles: &self.names,
            ran: &ran,
        };
        let verdict = self.handler.plugin.finish(&step)?;
        if wants_cached(query) && !cached(&step, verdict.primary) {
            return Err(ScheduleError::NotCached);
        }
        let mut effects = Effects::default();
        let placed = Placed {
            field: &field,
            profiles: &self.names,
            ran: &ran,
            primary: verdict.primary,
        };
        self.serve_on_port(&placed, verdict, &mut effects);
        self.layout.store(&placed);
        for hook in &self.hooks.placed {
            hook.plugin.placed(&placed, &mut effects);
        }
        let flight = self.flight(&ran, &placed, effects.tickets);
        let decision = gather(ran, verdict)?;
        Ok(Scheduled {
            decision,
            headers: effects.headers,
            flight,
        })
    }

    /// Screeners, producers and admitters.
    fn look_around(
        &self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
        scratch: &mut Scratch,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Result<(), ScheduleError> {
        if let Some(headers) = query.headers.0 {
            scratch.findings.attributes = self.facts_of(headers);
        }
        self.layout.match_beside(query, scratch);
        self.screen(query, endpoints, scratch, now, rng)?;
        for hook in &self.hooks.producers {
            let mut produced = Produced::default();
            let (field, base, _) = scratch.split(query, endpoints, now);
            hook.plugin.produce(&field, base, &mut produced);
            absorb(&mut scratch.findings, produced);
        }
        let (field, base, _) = scratch.split(query, endpoints, now);
        for hook in &self.hooks.admitters {
            if let Err(reason) = hook.plugin.admit(&field, base, rng) {
                let admitter = Arc::clone(&hook.name);
                return Err(ScheduleError::Denied { admitter, reason });
            }
        }
        Ok(())
    }

    fn screen(
        &self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
        scratch: &mut Scratch,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Result<(), ScheduleError> {
        if self.hooks.screeners.is_empty() {
            return Ok(());
        }
        let (field, base, buffers) = scratch.split(query, endpoints, now);
        let whole = base.clone();
        for hook in &self.hooks.screeners {
            buffers.kept.clear();
            buffers.kept.extend_from_slice(&whole);
            hook.plugin.screen(&field, buffers.kept, rng);
            base.retain(|index| buffers.kept.contains(index));
        }
        if base.is_empty() {
            let before = count(whole.len());
            return Err(ScheduleError::ScreenedOut { before });
        }
        Ok(())
    }

    fn run_profiles(
        &self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
        scratch: &mut Scratch,
        now: Time,
        rng: &mut dyn Rng,
        ran: &mut [Ran],
    ) -> Result<(), ScheduleError> {
        // Each turn runs at least one profile that has not run, so this ends.
        for _ in 0..self.profiles.len() {
            let (field, _, _) = scratch.split(query, endpoints, now);
            let step = Step {
                field: &field,
                profiles: &self.names,
                ran,
            };
            let Next { run, peer } = self.handler.plugin.next(&step);
            let fresh = (0..ran.len()).filter(|&at| run.has(at) && matches!(ran[at], Ran::Not));
            let fresh = fresh.fold(ProfileSet::NONE, ProfileSet::with);
            if fresh.is_none() {
                break;
            }
            if peer.is_some() {
                scratch.findings.peer = peer;
            }
            for (at, profile) in self.profiles.iter().enumerate() {
                if fresh.has(at) {
                    let (field, base, buffers) = scratch.split(query, endpoints, now);
                    ran[at] = match profile.run(&field, base, buffers, rng) {
                        Ok(decision) => Ran::Chose(decision),
                        Err(error) => Ran::Failed(error),
                    };
                }
            }
        }
        Ok(())
    }

    /// Has the request go to one port of the pod, which passes it on to the port in a header.
    fn serve_on_port(&self, placed: &Placed<'_>, verdict: Verdict, effects: &mut Effects) {
        if let (Some(_), Some(target)) = (verdict.serve_port, placed.primary()) {
            let name = http::HeaderName::from_static("x-data-parallel-host-port");
            effects.set(&name, &target.address().to_string());
        }
    }

    fn flight(
        &self,
        ran: &[Ran],
        placed: &Placed<'_>,
        tickets: SmallVec<[Box<dyn crate::Ticket>; 1]>,
    ) -> Flight {
        let mut flight = Flight {
            tickets,
            ..Flight::default()
        };
        if !self.hooks.answered.is_empty() {
            flight.attributes = placed.field.findings.attributes.clone();
            let chosen = self.names.iter().zip(ran);
            flight.targets = chosen
                .filter_map(|(name, ran)| Some((Arc::clone(name), Arc::clone(ran.target()?))))
                .collect();
        }
        flight
    }

    /// Changes to make to the headers of an answer that `served` gives.
    #[must_use]
    pub fn answer_headers(&self, flight: &Flight, served: &Endpoint, now: Time) -> HeaderChanges {
        let mut changes = HeaderChanges::new();
        for hook in &self.hooks.answered {
            hook.plugin.answered(flight, served, now, &mut changes);
        }
        changes
    }

    /// What to tell the proxy about a request that took so many tokens.
    #[must_use]
    pub fn reports(&self, usage: &TokenUsage) -> SmallVec<[Report; 1]> {
        let reporters = self.hooks.reporters.iter();
        reporters
            .filter_map(|hook| hook.plugin.report(usage))
            .collect()
    }

    /// How many blocks of `block_tokens` the pool's own prefix index is to remember of an endpoint.
    #[must_use]
    pub fn index_capacity(&self, endpoint: &Endpoint, block_tokens: u32) -> u32 {
        match &self.layout.pool {
            Some(pool) => pool.capacity(endpoint, block_tokens),
            None => PrefixIndex::capacity_blocks(endpoint, block_tokens),
        }
    }

    /// The endpoint is gone for good.
    pub fn forget(&self, endpoint: &Endpoint) {
        for hook in &self.hooks.keepers {
            hook.plugin.forget(endpoint);
        }
        for source in &self.layout.beside {
            source.index.remove_endpoint(endpoint.id());
        }
    }
}

/// Whether the request prefers to be served only where its prompt is cached (RFC 7240).
fn wants_cached(query: &Query<'_>) -> bool {
    let Some(headers) = query.headers.0 else {
        return false;
    };
    let values = headers.get_all("prefer").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("if-available"))
}

fn cached(step: &Step<'_>, primary: usize) -> bool {
    let decision = step.ran[primary].decision();
    let first = decision.and_then(|decision| decision.ranked.first());
    first.is_some_and(|choice| choice.matched_blocks > 0)
}

/// Makes one decision of what the profiles chose.
fn gather(ran: SmallVec<[Ran; 2]>, verdict: Verdict) -> Result<Decision, ScheduleError> {
    let mut primary = None;
    let mut others = Vec::new();
    for (at, ran) in ran.into_iter().enumerate() {
        match ran {
            Ran::Chose(decision) if at == verdict.primary => primary = Some(decision),
            Ran::Chose(decision) => others.push(decision),
            Ran::Failed(error) if at == verdict.primary => return Err(error),
            Ran::Failed(_) | Ran::Not => {}
        }
    }
    let Some(mut decision) = primary else {
        return Err(ScheduleError::Unfinished(
            "the profile handler named a profile that did not run".to_owned(),
        ));
    };
    if let Some(port) = verdict.serve_port {
        for choice in &mut decision.ranked {
            choice.address.set_port(port);
        }
    }
    decision.others = others;
    Ok(decision)
}

#[cfg(test)]
mod tests;
