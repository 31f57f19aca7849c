//! Open loop: requests leave at their times, whatever became of the earlier ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{Engine, Job, Outcomes, Pace, Plan};
use crate::error::LabError;
use crate::wire::{Shot, Wire};

/// Time zero of a run lies this far ahead, so that the first bodies are ready by then.
pub(super) const HEAD_START: Duration = Duration::from_millis(50);

/// Bodies made ahead of their time. A burst of long prompts is then sent as fast as the loop turns.
const AHEAD: usize = 64;

/// Longest sleep of the pacer, so that it notices the end of a run.
const NAP: Duration = Duration::from_millis(100);

pub(super) async fn drive(
    engine: Arc<Engine>,
    plan: Plan,
    outcomes: Outcomes,
) -> Result<(), LabError> {
    let (jobs, mut due) = mpsc::channel(AHEAD);
    let slots = Arc::new(Semaphore::new(
        plan.max_in_flight.min(Semaphore::MAX_PERMITS),
    ));
    let pacer = Pacer::new(plan, engine.start);
    // A thread of its own, not of the blocking pool: it lives as long as the run. It ends by
    // itself when `due` is dropped.
    thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(move || pacer.run(&jobs))
        .map_err(|error| LabError::Runtime(format!("no thread for pacing: {error}")))?;
    let mut tasks = JoinSet::new();
    loop {
        let job = tokio::select! {
            biased;
            () = engine.cancel.cancelled() => break,
            job = due.recv() => job,
        };
        let Some(job) = job else { break };
        let slot = tokio::select! {
            biased;
            () = engine.cancel.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let (engine, outcomes) = (engine.clone(), outcomes.clone());
        tasks.spawn(async move {
            // Fails only when the collector is gone, and then nobody counts.
            let _ = outcomes.send(engine.perform(job).await).await;
            drop(slot);
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(due);
    while let Some(result) = tasks.join_next().await {
        result.map_err(|error| LabError::Runtime(error.to_string()))?;
    }
    Ok(())
}

/// The thread that keeps time and makes bodies meanwhile.
struct Pacer {
    shots: Box<dyn Iterator<Item = Shot> + Send>,
    clock: Clock,
    wire: Wire,
    start: Instant,
    duration: Duration,
    requests: u64,
    made: u64,
    ready: VecDeque<Job>,
}

enum Clock {
    Scheduled,
    Poisson {
        rng: Box<StdRng>,
        per_second: f64,
        now: Duration,
    },
}

impl Clock {
    fn of(pace: Pace) -> Self {
        match pace {
            Pace::Poisson { per_second, seed } => {
                let rng = Box::new(StdRng::seed_from_u64(seed));
                Clock::Poisson {
                    rng,
                    per_second,
                    now: Duration::ZERO,
                }
            }
            Pace::Scheduled | Pace::Closed { .. } => Clock::Scheduled,
        }
    }

    fn time_of(&mut self, shot: &Shot) -> Duration {
        match self {
            Clock::Scheduled => shot.at,
            Clock::Poisson {
                rng,
                per_second,
                now,
            } => {
                let draw: f64 = rng.random();
                // 1 - draw is never 0, so the gap is finite; a day is as good as never.
                let gap = (-(1.0 - draw).ln() / *per_second).min(86_400.0);
                *now += Duration::from_secs_f64(gap);
                *now
            }
        }
    }
}

impl Pacer {
    fn new(plan: Plan, start: Instant) -> Self {
        Self {
            clock: Clock::of(plan.pace),
            shots: plan.shots,
            wire: plan.wire,
            start,
            duration: plan.duration.unwrap_or(Duration::MAX),
            requests: plan.requests,
            made: 0,
            ready: VecDeque::with_capacity(AHEAD),
        }
    }

    fn run(mut self, jobs: &mpsc::Sender<Job>) {
        loop {
            self.prepare();
            let Some(job) = self.ready.pop_front() else {
                return;
            };
            while let Some(left) = job.due.checked_duration_since(Instant::now()) {
                if left.is_zero() {
                    break;
                }
                if jobs.is_closed() {
                    return;
                }
                thread::sleep(left.min(NAP));
            }
            if jobs.blocking_send(job).is_err() {
                return;
            }
        }
    }

    /// Makes bodies until enough are ready or the first is due.
    fn prepare(&mut self) {
        while self.ready.len() < AHEAD {
            if self
                .ready
                .front()
                .is_some_and(|job| job.due <= Instant::now())
            {
                return;
            }
            match self.make() {
                Some(job) => self.ready.push_back(job),
                None => return,
            }
        }
    }

    fn make(&mut self) -> Option<Job> {
        if self.made >= self.requests {
            return None;
        }
        let shot = self.shots.next()?;
        let at = self.clock.time_of(&shot);
        if at >= self.duration {
            self.requests = 0;
            return None;
        }
        let number = self.made;
        self.made += 1;
        let body = self.wire.body(&shot);
        Some(Job {
            number,
            due: self.start + at,
            class: shot.class,
            model: shot.model,
            body,
        })
    }
}
