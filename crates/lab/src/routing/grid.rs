//! All runs of a comparison, over all cores.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::bounds::bounds;
use super::fleet::Fleet;
use super::policy::{Picture, PolicyKind};
use super::results::{Point, Row};
use super::score::{Figures, Score, Slo};
use super::timeline::{Timed, starting};
use super::workload::Workload;
use super::world::{Conditions, Fate, Scene, World};
use crate::error::LabError;

/// What to compare.
pub struct Plan {
    /// One workload per seed.
    pub(crate) workloads: Vec<Workload>,
    pub(crate) fleet: Fleet,
    pub(crate) policies: Vec<PolicyKind>,
    /// Factors on the workload's rate.
    pub(crate) loads: Vec<f64>,
    pub(crate) conditions: Conditions,
    pub(crate) timeline: Vec<Timed>,
    pub(crate) slo: Slo,
    /// Share of requests at the start that do not count.
    pub(crate) warm_up: f64,
    /// Threads to use.
    pub(crate) threads: usize,
}

/// One run of a plan.
#[derive(Clone, Copy)]
struct Cell {
    load: usize,
    policy: usize,
    seed: usize,
}

impl Plan {
    /// How many runs there are.
    pub(crate) fn runs(&self) -> usize {
        self.loads.len() * self.policies.len() * self.workloads.len()
    }

    /// Does all runs. `done` is called after each, from any thread.
    ///
    /// # Errors
    /// The first [`LabError`] of a run; the others are then left undone.
    pub(crate) fn run(&self, done: &(dyn Fn() + Sync)) -> Result<Vec<Point>, LabError> {
        let cells = self.cells();
        let next = AtomicUsize::new(0);
        let scores = Mutex::new(HashMap::new());
        let failure = Mutex::new(None);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(cell) = cells.get(at) else { break };
                match self.one(*cell) {
                    Ok(score) => {
                        let mut scores = scores.lock().unwrap_or_else(PoisonError::into_inner);
                        scores.insert((cell.load, cell.policy, cell.seed), score);
                    }
                    Err(error) => {
                        next.store(cells.len(), Ordering::Relaxed);
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                }
                done();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.clamp(1, cells.len().max(1)) {
                scope.spawn(work);
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let scores = scores.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(self.points(scores))
    }

    /// High loads first: they take longest, and the last runs should be short.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(self.runs());
        for load in (0..self.loads.len()).rev() {
            for seed in 0..self.workloads.len() {
                let cell = |policy| Cell { load, policy, seed };
                cells.extend((0..self.policies.len()).map(cell));
            }
        }
        cells
    }

    fn one(&self, cell: Cell) -> Result<Score, LabError> {
        let workload = &self.workloads[cell.seed];
        let kind = self.policies[cell.policy];
        let scene = Scene {
            workload,
            rows: self.fleet.rows(),
            conditions: &self.conditions,
            timeline: &self.timeline,
            load: self.loads[cell.load],
            seed: cell.seed as u64 + 1,
        };
        let events = kind.picture == Picture::Events;
        let engines = self.fleet.engines(workload.block_tokens, events);
        let world = World::new(scene, kind, engines)?;
        let fates = world.run(starting(self.fleet.len(), &self.timeline));
        Ok(score(workload, &fates, self))
    }

    fn points(&self, mut scores: HashMap<(usize, usize, usize), Score>) -> Vec<Point> {
        let rows: Vec<_> = self.fleet.rows().iter().collect();
        let net = self.conditions.network_secs;
        let mut point = |(at, load): (usize, &f64)| {
            let mut row = |(policy, kind): (usize, &PolicyKind)| Row {
                policy: kind.id.to_owned(),
                title: kind.title.to_owned(),
                hypothetical: kind.hypothetical,
                scores: (0..self.workloads.len())
                    .filter_map(|seed| scores.remove(&(at, policy, seed)))
                    .collect(),
            };
            let first = &self.workloads[0];
            Point {
                load: *load,
                offered_per_sec: first.jobs().len() as f64 / first.span_secs().max(1e-9) * load,
                bounds: bounds(first, &rows, *load, net),
                rows: self.policies.iter().enumerate().map(&mut row).collect(),
            }
        };
        self.loads.iter().enumerate().map(&mut point).collect()
    }
}

/// Puts the fates of all requests together.
fn score(workload: &Workload, fates: &[Fate], plan: &Plan) -> Score {
    let skip = (plan.warm_up * fates.len() as f64) as usize;
    let (mut ttft, mut tpot, mut e2e) = <(Figures, Figures, Figures)>::default();
    let (mut good, mut cached, mut prompt, mut preemptions) = (0_u64, 0_u64, 0_u64, 0_u64);
    let counted = workload.jobs().iter().zip(fates).skip(skip);
    let secs = |nanos: u64| nanos as f64 / 1e9;
    for (job, fate) in counted {
        preemptions += u64::from(fate.preemptions);
        let (Some(first), Some(ended), false) = (fate.first_token, fate.ended, fate.failed) else {
            continue;
        };
        let (wait, whole) = (secs(first - fate.arrived), secs(ended - fate.arrived));
        let per_token = (whole - wait) / f64::from(job.output_tokens - 1).max(1.0);
        ttft.add(wait);
        e2e.add(whole);
        if job.output_tokens > 1 {
            tpot.add(per_token);
        }
        let kept = wait <= plan.slo.ttft_secs && per_token <= plan.slo.tpot_secs;
        good += u64::from(kept);
        cached += u64::from(fate.cached_tokens);
        prompt += u64::from(job.input_tokens);
    }
    let arrivals = || fates.iter().map(|fate| fate.arrived);
    let (from, last) = (arrivals().min().unwrap_or(0), arrivals().max().unwrap_or(0));
    let to = fates
        .iter()
        .filter_map(|fate| fate.ended)
        .max()
        .unwrap_or(last);
    let output: u64 = workload
        .jobs()
        .iter()
        .zip(fates)
        .filter(|(_, fate)| !fate.failed)
        .map(|(job, _)| u64::from(job.output_tokens))
        .sum();
    let requests = (fates.len() - skip) as u64;
    let span = secs(to - from).max(1e-9);
    Score {
        requests,
        failed: requests - ttft.count() as u64,
        goodput: good as f64 / requests.max(1) as f64,
        good_per_sec: good as f64 / (secs(last - from) * (1.0 - plan.warm_up)).max(1e-9),
        hit: cached as f64 / prompt.max(1) as f64,
        output_tokens_per_sec: output as f64 / span,
        imbalance: imbalance(fates, plan.fleet.len()),
        preemptions: preemptions as f64 / requests.max(1) as f64,
        drain_secs: secs(to - last),
        ttft_curve: ttft.curve(),
        ttft: ttft.quantile(),
        tpot: tpot.quantile(),
        e2e: e2e.quantile(),
    }
}

/// Most requests of a server over the mean.
fn imbalance(fates: &[Fate], servers: usize) -> f64 {
    let mut count = vec![0_u64; servers];
    for fate in fates {
        if let Some(count) = count.get_mut(fate.node) {
            *count += 1;
        }
    }
    let most = count.iter().max().copied().unwrap_or(0);
    let all: u64 = count.iter().sum();
    most as f64 * servers as f64 / all.max(1) as f64
}
