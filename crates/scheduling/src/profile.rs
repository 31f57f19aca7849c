//! Filters, then weighted scorers, then a picker.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::Rng;
use signals::{Endpoint, Load, Time};
use smallvec::SmallVec;

use crate::field::age_ms;
use crate::pickers::MaxScore;
use crate::{
    Candidate, Choice, Decision, Field, Filter, Funnel, Picker, PrefixIndex, Query, Reads,
    ScheduleError, Scorer, Scratch, defaults,
};

/// A plugin with the name of its instance.
#[derive(Debug)]
pub(crate) struct Named<P: ?Sized> {
    pub(crate) name: Arc<str>,
    pub(crate) plugin: Arc<P>,
}

#[derive(Debug)]
pub(crate) struct Weighted {
    pub(crate) name: Arc<str>,
    pub(crate) weight: f32,
    pub(crate) plugin: Arc<dyn Scorer>,
}

/// The buffers of a run.
pub(crate) struct Buffers<'a> {
    pub(crate) kept: &'a mut Vec<u32>,
    pub(crate) scores: &'a mut Vec<f32>,
    pub(crate) totals: &'a mut Vec<f32>,
    pub(crate) order: &'a mut Vec<u32>,
}

/// A scheduling profile, ready to run. One per pool: some plugins keep running averages of the
/// traffic they see.
#[derive(Debug)]
pub struct Profile {
    pub(crate) name: Arc<str>,
    pub(crate) filters: Vec<Named<dyn Filter>>,
    pub(crate) scorers: Vec<Weighted>,
    pub(crate) picker: Arc<dyn Picker>,
    filter_names: Arc<[Arc<str>]>,
    scorer_names: Arc<[Arc<str>]>,
}

impl Profile {
    /// The profile used when nothing is configured.
    #[must_use]
    pub fn default_profile() -> Self {
        defaults::default_profile()
    }

    /// Takes turns, looking at nothing but health: the baseline of comparisons.
    #[must_use]
    pub fn round_robin_profile() -> Self {
        defaults::round_robin_profile()
    }

    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: name.into(),
            filters: Vec::new(),
            scorers: Vec::new(),
            picker: Arc::new(MaxScore::default()),
            filter_names: Arc::new([]),
            scorer_names: Arc::new([]),
        }
    }

    /// Fixes the lists of names once all plugins are in.
    pub(crate) fn seal(&mut self) {
        self.filter_names = self
            .filters
            .iter()
            .map(|filter| Arc::clone(&filter.name))
            .collect();
        self.scorer_names = self
            .scorers
            .iter()
            .map(|scorer| Arc::clone(&scorer.name))
            .collect();
    }

    /// Everything its plugins read.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let filters = self.filters.iter().map(|filter| filter.plugin.reads());
        let scorers = self.scorers.iter().map(|scorer| scorer.plugin.reads());
        filters
            .chain(scorers)
            .fold(Reads::NOTHING, |all, reads| all | reads)
    }

    /// Names of the scorers with their weights, in order.
    pub fn weights(&self) -> impl Iterator<Item = (&Arc<str>, f32)> {
        self.scorers
            .iter()
            .map(|scorer| (&scorer.name, scorer.weight))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Names of the filters, in order.
    #[must_use]
    pub fn filter_names(&self) -> &[Arc<str>] {
        &self.filter_names
    }

    /// Chooses endpoints for a request, with this profile alone.
    ///
    /// # Errors
    /// [`ScheduleError`] when no endpoint is left to choose.
    pub fn schedule(
        &self,
        query: &Query<'_>,
        endpoints: &[Arc<Endpoint>],
        index: &PrefixIndex,
        scratch: &mut Scratch,
        now: Time,
        rng: &mut impl Rng,
    ) -> Result<Decision, ScheduleError> {
        scratch.survey(query, endpoints, index, now);
        scratch.findings.reset(0, 0);
        scratch.confine(query, endpoints)?;
        let (field, base, buffers) = scratch.split(query, endpoints, now);
        self.run(&field, base, buffers, rng)
    }

    /// Chooses among the endpoints of `base`, which is not empty.
    pub(crate) fn run(
        &self,
        field: &Field<'_>,
        base: &[u32],
        buffers: Buffers<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Decision, ScheduleError> {
        let Buffers {
            kept,
            scores,
            totals,
            order,
        } = buffers;
        kept.clear();
        kept.extend_from_slice(base);
        let funnel = self.narrow(field, kept, rng)?;
        self.rate(field, kept, scores, totals);
        order.clear();
        self.picker.pick(totals, rng, order);
        let outcome = Outcome {
            field,
            kept,
            scores,
            totals,
            order,
        };
        Ok(Decision {
            profile: Arc::clone(&self.name),
            ranked: outcome.ranked(),
            candidates: outcome.candidates(),
            scorer_names: Arc::clone(&self.scorer_names),
            filter_names: Arc::clone(&self.filter_names),
            funnel,
            named: self.picker.named(),
            scores: outcome.all_scores(),
            others: Vec::new(),
        })
    }

    fn narrow(
        &self,
        field: &Field<'_>,
        kept: &mut Vec<u32>,
        rng: &mut dyn Rng,
    ) -> Result<Funnel, ScheduleError> {
        let mut funnel = Funnel {
            considered: count(field.endpoints.len()),
            in_subset: count(kept.len()),
            after_filter: SmallVec::new(),
        };
        for filter in &self.filters {
            let before = count(kept.len());
            filter.plugin.retain(field, kept, rng);
            funnel.after_filter.push(count(kept.len()));
            if kept.is_empty() {
                let filter = Arc::clone(&filter.name);
                return Err(ScheduleError::FilteredOut { filter, before });
            }
        }
        Ok(funnel)
    }

    fn rate(&self, field: &Field<'_>, kept: &[u32], scores: &mut Vec<f32>, totals: &mut Vec<f32>) {
        totals.clear();
        totals.resize(kept.len(), 0.0);
        scores.clear();
        scores.resize(kept.len() * self.scorers.len(), 0.0);
        for (scorer, row) in self.scorers.iter().zip(scores.chunks_exact_mut(kept.len())) {
            scorer.plugin.score(field, kept, row);
            for (score, total) in row.iter_mut().zip(totals.iter_mut()) {
                *score = within_range(*score) * scorer.weight;
                *total += *score;
            }
        }
    }
}

/// Clamps to 0..=1. A score that is not a number becomes 0: neither comparison holds for it, so a
/// plain clamp would let it through and poison the sum.
pub(crate) fn within_range(score: f32) -> f32 {
    if score > 0.0 { score.min(1.0) } else { 0.0 }
}

pub(crate) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The buffers of a finished run, to be told.
struct Outcome<'a> {
    field: &'a Field<'a>,
    kept: &'a [u32],
    scores: &'a [f32],
    totals: &'a [f32],
    order: &'a [u32],
}

impl Outcome<'_> {
    fn ranked(&self) -> Vec<Choice> {
        self.order
            .iter()
            .map(|&place| self.choice(place as usize))
            .collect()
    }

    fn choice(&self, place: usize) -> Choice {
        let index = self.kept[place];
        let state = self.field.state(index);
        let query = self.field.query;
        let cached = query.prompt_tokens.saturating_sub(state.uncached_tokens);
        let endpoint = &self.field.endpoints[index as usize];
        Choice {
            endpoint: Arc::clone(endpoint),
            address: endpoint.address(),
            total: self.totals[place],
            matched_blocks: state.matched_blocks,
            uncached_tokens: state.uncached_tokens,
            load: Load::estimate(state.uncached_tokens, cached, query.max_tokens.unwrap_or(0)),
        }
    }

    fn all_scores(&self) -> Vec<(SocketAddr, f32)> {
        if !self.field.query.wants_scores {
            return Vec::new();
        }
        let address = |&index: &u32| self.field.endpoints[index as usize].address();
        let addresses = self.kept.iter().map(address);
        addresses.zip(self.totals.iter().copied()).collect()
    }

    fn candidates(&self) -> SmallVec<[Candidate; 8]> {
        self.order
            .iter()
            .map(|&place| self.candidate(place as usize))
            .collect()
    }

    fn candidate(&self, place: usize) -> Candidate {
        let index = self.kept[place];
        let state = self.field.state(index);
        Candidate {
            endpoint: Arc::clone(self.field.endpoints[index as usize].name()),
            total: self.totals[place],
            scores: self
                .scores
                .chunks_exact(self.kept.len())
                .map(|row| row[place])
                .collect(),
            waiting: state.signals.scraped.waiting,
            running: state.signals.scraped.running,
            kv: state.signals.scraped.kv_usage,
            inflight_tokens: state.load.prefill_tokens,
            matched_blocks: state.matched_blocks,
            signal_age_ms: age_ms(state.signals.age),
        }
    }
}

#[cfg(test)]
mod tests;
