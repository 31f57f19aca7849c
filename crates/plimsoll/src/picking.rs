//! How endpoints are picked: our own profile, the baseline, or an `EndpointPickerConfig`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use flow::{Detector, Limits, Thresholds};
use manifests::{SourceError, TextFile};
use payload::{Parser, Parsers};
use resources::{Dialect, EndpointPickerConfig, Problem, Severity};
use scheduling::flow::ConcurrencyMode;
use scheduling::settings::Detector as DetectorSetting;
use scheduling::{BuildOptions, Registry, Scheduler};
use tokio::sync::watch;

/// How schedulers are made, one for each pool.
#[derive(Clone)]
pub(crate) enum Picking {
    /// Our own profile.
    Standard,
    /// One endpoint after the other.
    RoundRobin,
    /// What a configuration says.
    Configured(Configured),
}

/// A configuration that is known to be free of errors.
#[derive(Clone)]
pub(crate) struct Configured {
    config: Arc<EndpointPickerConfig>,
    options: BuildOptions,
    detector: Detector,
    parsers: Option<Parsers>,
}

impl Picking {
    /// Reads a configuration and tries it out. Warnings are logged.
    pub(crate) fn read(
        origin: &str,
        text: &str,
        options: BuildOptions,
    ) -> Result<Self, Box<dyn Error>> {
        let (config, mut problems) = EndpointPickerConfig::read(origin, text);
        let mut tried = None;
        if let Some(config) = &config {
            let (scheduler, more) = Scheduler::build(config, &Registry::standard(), options, None);
            problems.extend(more);
            tried = scheduler;
        }
        problems.sort();
        problems.dedup();
        let refused = problems.iter().any(Problem::is_error);
        for problem in &problems {
            if problem.severity == Severity::Warning && !refused {
                tracing::warn!("{problem}");
            }
        }
        match (config, tried) {
            (Some(config), Some(scheduler)) if !refused => {
                let effective = scheduler.effective();
                let given = !config.request_handler.parsers.is_empty();
                let parsers = given
                    .then(|| parsers(&effective.parsers(), config.dialect))
                    .transpose()?;
                Ok(Self::Configured(Configured {
                    detector: detector(&effective.detector()),
                    config: Arc::new(config),
                    options,
                    parsers,
                }))
            }
            _ => Err(refusal(&problems).into()),
        }
    }

    /// The parsers that the configuration names; `None` if it names none.
    pub(crate) fn parsers(&self) -> Option<Parsers> {
        match self {
            Picking::Configured(configured) => configured.parsers.clone(),
            Picking::Standard | Picking::RoundRobin => None,
        }
    }

    /// When a pool counts as full.
    pub(crate) fn detector(&self) -> Detector {
        match self {
            Picking::Configured(configured) => configured.detector.clone(),
            Picking::Standard | Picking::RoundRobin => Detector::default(),
        }
    }

    /// A scheduler for one pool. What `previous` remembers goes on where the plugin stays the same.
    pub(crate) fn scheduler(&self, seed: u64, previous: Option<&Scheduler>) -> Scheduler {
        match self {
            Picking::Standard => Scheduler::standard(),
            Picking::RoundRobin => Scheduler::round_robin(),
            Picking::Configured(configured) => {
                let options = BuildOptions {
                    seed,
                    ..configured.options
                };
                let registry = Registry::standard();
                let (made, _) = Scheduler::build(&configured.config, &registry, options, previous);
                // It was made once already, from the same configuration.
                made.unwrap_or_else(Scheduler::standard)
            }
        }
    }
}

/// A picker configuration in a file, and its changes.
pub(crate) struct PickerFile {
    path: String,
    options: BuildOptions,
    texts: watch::Receiver<Arc<str>>,
    /// Number of the text in hand, from 1.
    number: u64,
    _file: TextFile,
}

impl PickerFile {
    /// Opens the file.
    pub(crate) fn open(path: &Path, options: BuildOptions) -> Result<Self, SourceError> {
        let file = TextFile::open(path)?;
        Ok(Self {
            path: path.display().to_string(),
            options,
            texts: file.subscribe(),
            number: 1,
            _file: file,
        })
    }

    /// What the file says now.
    pub(crate) fn read(&self) -> Result<Picking, Box<dyn Error>> {
        let text = self.texts.borrow().clone();
        Picking::read(&self.path, &text, self.options)
    }

    /// Waits for a change, and gives its number and what the file says then.
    pub(crate) async fn changed(&mut self) -> (u64, Result<Picking, String>) {
        if self.texts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.number += 1;
        let text = self.texts.borrow_and_update().clone();
        let picking = Picking::read(&self.path, &text, self.options);
        (self.number, picking.map_err(|error| error.to_string()))
    }
}

/// All errors, one a line.
pub(crate) fn refusal(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error());
    let lines: Vec<String> = errors.map(|problem| format!("\n  {problem}")).collect();
    format!("the picker configuration has errors:{}", lines.concat())
}

fn parsers(kinds: &[&str], dialect: Dialect) -> Result<Parsers, String> {
    let known = |kind: &&str| {
        Parser::of_kind(kind).ok_or_else(|| {
            format!(
                "requests cannot be read by a {kind} yet; leave it out of requestHandler.parsers"
            )
        })
    };
    let list = kinds.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    Ok(Parsers::new(list, dialect == Dialect::Gie))
}

fn detector(setting: &DetectorSetting) -> Detector {
    match setting {
        DetectorSetting::Utilization(it) => Detector::Utilization(Thresholds {
            queue_depth: u32::try_from(it.queue_depth_threshold).unwrap_or(u32::MAX),
            kv_usage: it.kv_cache_util_threshold as f32,
            stale_after: it.metrics_staleness_threshold.get(),
        }),
        DetectorSetting::Concurrency(it) => {
            let limit = |limit: i64| u64::try_from(limit).ok();
            let by_requests = it.concurrency_mode != ConcurrencyMode::Tokens;
            let by_tokens = it.concurrency_mode != ConcurrencyMode::Requests;
            Detector::Concurrency(Limits {
                requests: limit(it.max_concurrency).filter(|_| by_requests),
                tokens: limit(it.max_token_concurrency).filter(|_| by_tokens),
            })
        }
    }
}
