//! What a run has shown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::options::EppOptions;
use super::run::Tally;
use crate::process::Usage;

/// Share of all CPU time above which the generator may have been the bottleneck.
const BUSY: f64 = 0.6;

/// Figures of `bench epp`. Times are in milliseconds, memory in mebibytes.
#[derive(Debug, Clone, Serialize)]
pub struct EppReport {
    /// Requests that ended, well or not.
    pub requests: u64,
    /// Requests per second.
    pub per_second: f64,
    /// From the last message of a request to its destination: p50, p90, p99, most.
    pub pick_ms: [f64; 4],
    /// From the first message to the end of the answer: p50, p90, p99, most.
    pub whole_ms: [f64; 4],
    /// Requests that were given a destination.
    pub picked: u64,
    /// Answers the picker asked not to be shown.
    pub spared: u64,
    /// Immediate answers by status.
    pub refused: BTreeMap<i32, u64>,
    /// Failed streams by cause.
    pub errors: BTreeMap<String, u64>,
    /// Destinations by how often they were picked.
    pub destinations: BTreeMap<String, u64>,
    /// The processes that were measured.
    pub processes: Vec<ProcessCost>,
    /// CPU cores the generator itself used on average.
    pub generator_cores: f64,
    /// Whether the generator used so much of the machine that the figures may be its own.
    pub generator_busy: bool,
}

/// What a process spent.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessCost {
    /// Its id.
    pub pid: u32,
    /// CPU milliseconds per request.
    pub cpu_ms_per_request: f64,
    /// Context switches per 1,000 requests.
    pub switches_per_1000: f64,
    /// Resident memory before, after, and at its peak, in MiB.
    pub memory_mib: [f64; 3],
}

fn quantiles(distribution: &crate::stats::Distribution) -> [f64; 4] {
    let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    [
        ms(distribution.quantile(0.5)),
        ms(distribution.quantile(0.9)),
        ms(distribution.quantile(0.99)),
        ms(distribution.max()),
    ]
}

impl EppReport {
    pub(super) fn new(
        options: &EppOptions,
        tally: Tally,
        elapsed: Duration,
        own_cpu: Duration,
        used: Vec<(u32, Usage, Usage)>,
    ) -> Self {
        let failed: u64 = tally.errors.values().sum();
        let requests = tally.whole.count() + failed;
        let per = |value: f64| value / requests.max(1) as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let processes = used
            .into_iter()
            .map(|(pid, before, spent)| ProcessCost {
                pid,
                cpu_ms_per_request: per(spent.cpu.as_secs_f64() * 1_000.0),
                switches_per_1000: per(spent.context_switches as f64 * 1_000.0),
                memory_mib: [
                    mib(before.resident),
                    mib(spent.resident),
                    mib(spent.resident_peak),
                ],
            })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let generator_cores = own_cpu.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        let _ = options;
        Self {
            requests,
            per_second: requests as f64 / elapsed.as_secs_f64().max(1e-9),
            pick_ms: quantiles(&tally.pick),
            whole_ms: quantiles(&tally.whole),
            picked: tally.picked,
            spared: tally.spared,
            refused: tally.refused,
            errors: tally.errors,
            destinations: tally.destinations,
            processes,
            generator_cores,
            generator_busy: generator_cores > BUSY * cores,
        }
    }

    /// Whether every request was given a destination.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.refused.is_empty()
    }

    /// The report in words.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let times = |[p50, p90, p99, most]: [f64; 4]| {
            format!("p50 {p50:.3} ms, p90 {p90:.3}, p99 {p99:.3}, most {most:.1}")
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "requests     {} ({:.0}/s), {} picked, {} answers spared",
            self.requests, self.per_second, self.picked, self.spared
        );
        let _ = writeln!(text, "pick         {}", times(self.pick_ms));
        let _ = writeln!(text, "whole        {}", times(self.whole_ms));
        let _ = writeln!(text, "destinations {}", self.destinations.len());
        for (status, count) in &self.refused {
            let _ = writeln!(text, "refused      {count} with status {status}");
        }
        for (error, count) in &self.errors {
            let _ = writeln!(text, "failed       {count}: {error}");
        }
        for process in &self.processes {
            let [before, after, peak] = process.memory_mib;
            let _ = writeln!(
                text,
                "process {:<5} {:.3} ms CPU and {:.2} context switches a request; memory {before:.0} -> {after:.0} MiB, peak {peak:.0}",
                process.pid,
                process.cpu_ms_per_request,
                process.switches_per_1000 / 1_000.0
            );
        }
        if self.generator_busy {
            let _ = writeln!(
                text,
                "The generator itself used {:.2} cores: throughput and latency may be its own limit. CPU per request still counts.",
                self.generator_cores
            );
        }
        text
    }
}
