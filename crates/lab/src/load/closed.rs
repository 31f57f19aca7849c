//! Closed loop: workers that send their next request when the last one has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::JoinSet;

use super::{Engine, Job, Outcomes, Plan};
use crate::error::LabError;
use crate::wire::Shot;

/// What workers draw from.
struct Source {
    shots: Box<dyn Iterator<Item = Shot> + Send>,
    next: u64,
    requests: u64,
    until: Option<Instant>,
}

impl Source {
    fn draw(&mut self) -> Option<(u64, Shot)> {
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        if over || self.next >= self.requests {
            return None;
        }
        let number = self.next;
        self.next += 1;
        Some((number, self.shots.next()?))
    }
}

pub(super) async fn drive(
    engine: Arc<Engine>,
    plan: Plan,
    concurrency: usize,
    outcomes: Outcomes,
) -> Result<(), LabError> {
    // Workers start at time zero, so that scheduled times are never before it.
    tokio::time::sleep_until(engine.start.into()).await;
    let source = Arc::new(Mutex::new(Source {
        shots: plan.shots,
        next: 0,
        requests: plan.requests,
        until: plan.duration.map(|duration| engine.start + duration),
    }));
    let workers = concurrency.min(plan.max_in_flight);
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(work(engine.clone(), source.clone(), outcomes.clone()));
    }
    while let Some(result) = tasks.join_next().await {
        result.map_err(|error| LabError::Runtime(error.to_string()))?;
    }
    Ok(())
}

async fn work(engine: Arc<Engine>, source: Arc<Mutex<Source>>, outcomes: Outcomes) {
    while !engine.cancel.is_cancelled() {
        let drawn = source.lock().unwrap_or_else(PoisonError::into_inner).draw();
        let Some((number, shot)) = drawn else { return };
        let body = engine.wire.body(&shot);
        // Making the text is not part of the request.
        let job = Job {
            number,
            due: Instant::now(),
            class: shot.class,
            model: shot.model,
            body,
        };
        if outcomes.send(engine.perform(job).await).await.is_err() {
            return;
        }
    }
}
