//! Results of a comparison, as they are written to and read from files.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::score::{METRICS, Metric, Score, Slo};
use super::world::Conditions;
use crate::error::LabError;

/// Of the file format.
const SCHEMA: u32 = 1;

/// Two-sided 95 % points of Student's t by degrees of freedom, from 1.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// Everything that came out of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Version of this format.
    pub schema: u32,
    /// Name for people.
    pub title: String,
    /// What was asked for.
    pub setup: Setup,
    /// By load, ascending.
    pub points: Vec<Point>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Workload.
    pub workload: WorkloadFacts,
    /// The fleet as given.
    pub fleet: String,
    /// Number of servers.
    pub servers: usize,
    /// Tokens in a KV block.
    pub block_tokens: u32,
    /// Repetitions.
    pub seeds: u64,
    /// Share of requests at the start that do not count.
    pub warm_up: f64,
    /// Service level.
    pub slo: Slo,
    /// Network, scrapes, events, routers.
    pub conditions: Conditions,
    /// What happens to the fleet, as given.
    pub timeline: Vec<String>,
    /// Whether turns of a conversation wait for each other.
    pub closed_loop: bool,
}

/// What the workload is like, before it is sped up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WorkloadFacts {
    pub name: String,
    pub requests: usize,
    pub span_secs: f64,
    pub input_tokens_mean: f64,
    pub output_tokens_mean: f64,
    /// Share of prompt tokens that a cache without bounds would have.
    pub reuse: f64,
}

/// All policies at one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Factor on the workload's rate.
    pub load: f64,
    /// Requests per second that are offered.
    pub offered_per_sec: f64,
    /// What no policy can beat.
    pub bounds: Bounds,
    /// By policy.
    pub rows: Vec<Row>,
}

/// One policy at one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name on the command line.
    pub policy: String,
    /// Name for people.
    pub title: String,
    /// Knows what no router knows.
    pub hypothetical: bool,
    /// By seed.
    pub scores: Vec<Score>,
}

/// A mean with half the width of its 95 % interval; the width of one value is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean over the seeds.
    pub mean: f64,
    /// Half of the interval; `None` with fewer than two seeds.
    pub half: Option<f64>,
}

impl Estimate {
    /// Of independent values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count.max(1) as f64;
        if count < 2 {
            return Self { mean, half: None };
        }
        let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (spread / (count - 1) as f64 / count as f64).sqrt();
        let t = T95.get(count - 2).copied().unwrap_or(1.96);
        Self {
            mean,
            half: Some(t * error),
        }
    }
}

impl Row {
    /// A figure over the seeds.
    #[must_use]
    pub fn estimate(&self, metric: &Metric) -> Estimate {
        let values: Vec<f64> = self.scores.iter().map(metric.of).collect();
        Estimate::of(&values)
    }

    /// How much more a figure is than that of `other`, seed by seed: equal seeds bring equal
    /// requests, so much of the spread cancels.
    #[must_use]
    pub fn difference(&self, other: &Row, metric: &Metric) -> Estimate {
        let pairs = self.scores.iter().zip(&other.scores);
        let values: Vec<f64> = pairs
            .map(|(a, b)| (metric.of)(a) - (metric.of)(b))
            .collect();
        Estimate::of(&values)
    }

    /// Mean quantile function of the time to the first token.
    #[must_use]
    pub fn ttft_curve(&self) -> Vec<f64> {
        let curves = self.scores.iter().map(|score| &score.ttft_curve);
        let mut sum: Vec<f64> = Vec::new();
        for curve in curves {
            sum.resize(sum.len().max(curve.len()), 0.0);
            for (sum, value) in sum.iter_mut().zip(curve) {
                *sum += value / self.scores.len() as f64;
            }
        }
        sum
    }
}

impl Point {
    /// The row of a policy.
    #[must_use]
    pub fn row(&self, policy: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.policy == policy)
    }
}

impl Results {
    pub(crate) fn new(title: String, setup: Setup, points: Vec<Point>) -> Self {
        Self {
            schema: SCHEMA,
            title,
            setup,
            points,
        }
    }

    /// Reads a file that [`write_json`](Self::write_json) wrote.
    ///
    /// # Errors
    /// [`LabError::Read`] or [`LabError::Plan`] with what is wrong with it.
    pub fn read_json(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read_to_string(path).map_err(|source| LabError::Read {
            path: path.to_owned(),
            source,
        })?;
        let results: Self = serde_json::from_str(&text).map_err(|error| {
            LabError::Plan(format!(
                "{} is not a result of `lab routing`: {error}",
                path.display()
            ))
        })?;
        if results.schema != SCHEMA {
            return Err(LabError::Plan(format!(
                "{} has format {}; this version reads format {SCHEMA}",
                path.display(),
                results.schema
            )));
        }
        Ok(results)
    }

    /// Writes everything, every seed by itself.
    ///
    /// # Errors
    /// [`LabError::Write`].
    pub fn write_json(&self, path: &Path) -> Result<(), LabError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::Runtime(error.to_string()))?;
        write(path, text.as_bytes())
    }

    /// Writes one line per load, policy and seed.
    ///
    /// # Errors
    /// [`LabError::Write`].
    pub fn write_csv(&self, path: &Path) -> Result<(), LabError> {
        let mut text = String::from("load,policy,seed,requests,failed");
        for metric in METRICS {
            text.push(',');
            text.push_str(metric.key);
        }
        text.push('\n');
        for point in &self.points {
            for row in &point.rows {
                for (seed, score) in row.scores.iter().enumerate() {
                    let head = format!(
                        "{},{},{seed},{},{}",
                        point.load, row.policy, score.requests, score.failed
                    );
                    text.push_str(&head);
                    for metric in METRICS {
                        text.push_str(&format!(",{:.6}", (metric.of)(score)));
                    }
                    text.push('\n');
                }
            }
        }
        write(path, text.as_bytes())
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let file = std::fs::File::create(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| LabError::Write {
        path: path.to_owned(),
        source,
    })
}
