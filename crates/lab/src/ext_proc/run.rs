//! Drives many exchanges at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::exchange::{Done, play};
use super::link::Link;
use super::messages::Messages;
use super::options::EppOptions;
use super::report::EppReport;
use crate::error::LabError;
use crate::process::Usage;
use crate::stats::Distribution;

/// Kinds of errors told apart; more are counted together.
const CAUSES_MAX: usize = 16;
/// Destinations told apart.
const DESTINATIONS_MAX: usize = 4_096;
/// A request that takes longer has hung.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// What one task has seen.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) pick: Distribution,
    pub(super) whole: Distribution,
    pub(super) picked: u64,
    pub(super) spared: u64,
    pub(super) refused: BTreeMap<i32, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) destinations: BTreeMap<String, u64>,
}

impl Tally {
    fn note(&mut self, result: Result<Done, String>) {
        match result {
            Ok(done) => {
                self.pick.record(done.pick);
                self.whole.record(done.whole);
                self.picked += u64::from(done.destination.is_some());
                self.spared += u64::from(done.spared);
                if let Some(status) = done.refused {
                    *self.refused.entry(status).or_default() += 1;
                }
                if let Some(destination) = done.destination {
                    bounded(&mut self.destinations, destination, DESTINATIONS_MAX, 1);
                }
            }
            Err(error) => bounded(&mut self.errors, error, CAUSES_MAX, 1),
        }
    }

    fn merge(&mut self, other: Tally) {
        self.pick.merge(&other.pick);
        self.whole.merge(&other.whole);
        self.picked += other.picked;
        self.spared += other.spared;
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        for (error, count) in other.errors {
            bounded(&mut self.errors, error, CAUSES_MAX, count);
        }
        for (destination, count) in other.destinations {
            bounded(&mut self.destinations, destination, DESTINATIONS_MAX, count);
        }
    }
}

fn bounded(counts: &mut BTreeMap<String, u64>, key: String, most: usize, count: u64) {
    let key = if counts.len() < most || counts.contains_key(&key) {
        key
    } else {
        "(others)".to_owned()
    };
    *counts.entry(key).or_default() += count;
}

impl EppOptions {
    /// Runs until all requests have ended, or `stop`.
    ///
    /// # Errors
    /// When the picker cannot be reached, or a process cannot be measured.
    pub async fn run(self, stop: CancellationToken) -> Result<EppReport, LabError> {
        let options = Arc::new(self);
        let messages = Arc::new(Messages::new(&options));
        let mut links = Vec::new();
        for _ in 0..options.connections {
            links.push(Link::open(&options).await.map_err(LabError::Plan)?);
        }
        let bar = bar(&options);
        let batch = |first: u64, count: u64, bar: ProgressBar| {
            drive(
                options.clone(),
                messages.clone(),
                links.clone(),
                first..first + count,
                bar,
                stop.clone(),
            )
        };
        if options.warm_up > 0 {
            batch(0, options.warm_up, ProgressBar::hidden()).await?;
        }
        let before = measure(&options.pids)?;
        let own_before = Usage::of(std::process::id())?;
        let begun = Instant::now();
        let tally = batch(options.warm_up, options.requests, bar.clone()).await?;
        let elapsed = begun.elapsed();
        let own = Usage::of(std::process::id())?.since(&own_before);
        let after = measure(&options.pids)?;
        bar.finish_and_clear();
        let used = options
            .pids
            .iter()
            .zip(before.iter().zip(&after))
            .map(|(pid, (before, after))| (*pid, *before, after.since(before)))
            .collect();
        Ok(EppReport::new(&options, tally, elapsed, own.cpu, used))
    }
}

fn measure(pids: &[u32]) -> Result<Vec<Usage>, LabError> {
    pids.iter().map(|pid| Usage::of(*pid)).collect()
}

fn bar(options: &EppOptions) -> ProgressBar {
    if options.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(options.requests);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

async fn drive(
    options: Arc<EppOptions>,
    messages: Arc<Messages>,
    links: Vec<Link>,
    numbers: std::ops::Range<u64>,
    bar: ProgressBar,
    stop: CancellationToken,
) -> Result<Tally, LabError> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    let tasks: Vec<_> = links
        .iter()
        .cycle()
        .take(options.concurrency as usize)
        .map(|link| {
            let (mut link, next, bar, stop) =
                (link.clone(), next.clone(), bar.clone(), stop.clone());
            let (options, messages) = (options.clone(), messages.clone());
            tokio::spawn(async move {
                let mut tally = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end || stop.is_cancelled() {
                        return tally;
                    }
                    let playing = play(&mut link, &messages, &options, number);
                    let result = tokio::time::timeout(REQUEST_TIMEOUT, playing)
                        .await
                        .unwrap_or_else(|_| Err("no answer in 120 s".to_owned()));
                    tally.note(result);
                    bar.inc(1);
                }
            })
        })
        .collect();
    let mut all = Tally::default();
    for task in tasks {
        let tally = task
            .await
            .map_err(|error| LabError::Runtime(error.to_string()))?;
        all.merge(tally);
    }
    Ok(all)
}
