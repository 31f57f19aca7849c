//! `lab routing`: options as clap sees them, and what they do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use simulator::PerfRow;

use super::fleet::Fleet;
use super::grid::Plan;
use super::policy;
use super::presets::{self, PRESETS, Preset, Source};
use super::results::{Results, Setup, WorkloadFacts};
use super::score::Slo;
use super::synthetic;
use super::table;
use super::timeline::Timed;
use super::workload::Workload;
use super::world::Conditions;
use crate::error::LabError;
use crate::trace::{MOONCAKE_BLOCK_TOKENS, Trace};

/// Published traces by name: file, and the block size that suits it.
const TRACES: &[(&str, &str, u32)] = &[
    (
        "mooncake-conversation",
        "mooncake_fast25_conversation.csv.gz",
        128,
    ),
    (
        "mooncake-synthetic",
        "mooncake_fast25_synthetic.csv.gz",
        128,
    ),
    ("azure-conversation", "azure_llm_2023_conv.csv.gz", 64),
    ("azure-code", "azure_llm_2023_code.csv.gz", 64),
    ("servegen-r1", "servegen_deepseek-r1_20rps_20min.csv.gz", 64),
    (
        "servegen-m-small",
        "servegen_m-small_50rps_10min.csv.gz",
        64,
    ),
];
/// Where traces are looked for when nothing is said.
const DATA_DIRS: &[&str] = &["data/traces", "../shared/data/traces"];
/// Block size for other files.
const BLOCK_TOKENS: u32 = 64;
/// Most seeds.
const SEEDS_MAX: u64 = 100;

/// Compare routing policies on a simulated fleet, on a virtual clock.
///
/// Replays a trace or a made-up workload at several multiples of its rate through every policy, a
/// few times over, and says what clients would have seen. The default policy is the production
/// scheduler itself. Times are simulated; the same command gives the same figures.
#[derive(Clone, Debug, clap::Args)]
pub struct RoutingOptions {
    /// Workload, fleet and loads by one name. See --list
    #[arg(long, value_name = "NAME", conflicts_with_all = ["trace", "workload"])]
    pub preset: Option<String>,

    /// A published trace by name (see --list), or a trace file: Mooncake, Azure or ServeGen
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "workload")]
    pub trace: Option<String>,

    /// A made-up workload by name. See --list
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,

    /// Where published traces are
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Servers: COUNTxCLASS, joined by +, such as 16x70b or 8x70b+8x70b-a100
    #[arg(long, value_name = "FLEET")]
    pub fleet: Option<String>,

    /// A file of step times whose rows can be used as classes
    #[arg(long, value_name = "FILE")]
    pub perf: Option<PathBuf>,

    /// Multiples of the workload's rate
    #[arg(long, value_name = "X,X,...", value_delimiter = ',')]
    pub load: Vec<f64>,

    /// How often each run is repeated with other arrivals and other draws
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seeds: u64,

    /// Policies to compare, by name, or all. See --list
    #[arg(long, value_name = "NAME,NAME,...", default_value = "all")]
    pub policies: String,

    /// Use only the first so many requests
    #[arg(long, value_name = "N")]
    pub requests: Option<usize>,

    /// Tokens in a KV block; must divide the blocks of a trace
    #[arg(long, value_name = "TOKENS")]
    pub block_tokens: Option<u32>,

    /// Share of requests at the start that do not count
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub warm_up: f64,

    /// A good answer: time to its first token in seconds, time per further token in milliseconds
    #[arg(long, value_name = "S,MS", default_value = "2,50", value_parser = slo)]
    pub slo: Slo,

    /// Let each turn of a conversation wait for the one before it, and then as long as in the trace
    #[arg(long)]
    pub closed_loop: bool,

    /// Routers in front of the fleet, each of which sees only its own requests
    #[arg(long, value_name = "N")]
    pub routers: Option<u16>,

    /// One way between two machines, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0.25)]
    pub network_ms: f64,

    /// Between two scrapes of a server's metrics, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50.0)]
    pub scrape_ms: f64,

    /// Share of scrapes that get lost
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub scrape_loss: f64,

    /// From a change of a server's cache to a router's knowledge of it, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10.0)]
    pub event_lag_ms: f64,

    /// Share of KV events that get lost
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub event_loss: f64,

    /// Something that happens to the fleet: SECONDS:ACTION, where ACTION is +N, -N, crash=SERVER,DOWN,
    /// hang=SERVER,LASTS, slow=SERVER,FACTOR,LASTS, errors=SERVER,SHARE,LASTS, stale=SERVER,LASTS,
    /// lost-events=SERVER,SHARE,LASTS or flush=SERVER. Repeatable
    #[arg(long = "at", value_name = "SECONDS:ACTION")]
    pub timeline: Vec<String>,

    /// Threads; one per core if not given
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Write all figures of all seeds to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write one line per load, policy and seed to this file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Compare two files that --json wrote, instead of running anything
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    pub compare: Option<Vec<PathBuf>>,

    /// Say what presets, traces, workloads, policies and classes there are
    #[arg(long)]
    pub list: bool,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

fn slo(text: &str) -> Result<Slo, String> {
    let (ttft, tpot) = text
        .split_once(',')
        .ok_or_else(|| format!("{text:?} is not SECONDS,MILLISECONDS, such as 2,50"))?;
    let number = |text: &str| {
        let value = text.trim().parse::<f64>();
        value
            .ok()
            .filter(|value| *value > 0.0)
            .ok_or_else(|| format!("{text:?} is not a number above 0"))
    };
    Ok(Slo {
        ttft_secs: number(ttft)?,
        tpot_secs: number(tpot)? / 1e3,
    })
}

impl RoutingOptions {
    /// Does what the options say; returns what to print.
    ///
    /// # Errors
    /// Any [`LabError`] that prevents it.
    pub fn run(&self) -> Result<String, LabError> {
        if self.list {
            return Ok(listing());
        }
        if let Some([a, b]) = self.compare.as_deref() {
            let (a, b) = (Results::read_json(a)?, Results::read_json(b)?);
            return super::compare::text(&a, &b);
        }
        let began = Instant::now();
        let preset = self.preset()?;
        let (plan, timeline) = self.plan(preset)?;
        let setup = self.setup(&plan, timeline);
        let bar = bar(self.quiet, plan.runs());
        let points = plan.run(&|| bar.inc(1));
        bar.finish_and_clear();
        let title = format!("{} on {}", setup.workload.name, setup.fleet);
        let results = Results::new(title, setup, points?);
        if let Some(path) = &self.json {
            results.write_json(path)?;
        }
        if let Some(path) = &self.csv {
            results.write_csv(path)?;
        }
        if let Some(path) = &self.html {
            super::results::write(path, super::page::html(&results).as_bytes())?;
        }
        let mut text = table::text(&results);
        text.push_str(&format!(
            "\n{} runs in {:.0} s\n",
            plan.runs(),
            began.elapsed().as_secs_f64()
        ));
        Ok(text)
    }

    fn preset(&self) -> Result<Option<&'static Preset>, LabError> {
        let Some(name) = &self.preset else {
            return Ok(None);
        };
        presets::named(name).map(Some).ok_or_else(|| {
            let known: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            LabError::Plan(format!(
                "no preset {name:?}; known are {}",
                known.join(", ")
            ))
        })
    }

    fn plan(&self, preset: Option<&Preset>) -> Result<(Plan, Vec<String>), LabError> {
        let wrong = |what: String| Err(LabError::Plan(what));
        let loads = match (self.load.as_slice(), preset) {
            ([], Some(preset)) => preset.loads.to_vec(),
            ([], None) => vec![1.0],
            (given, _) => given.to_vec(),
        };
        if let Some(load) = loads
            .iter()
            .find(|load| !(0.001..=100_000.0).contains(*load))
        {
            return wrong(format!("--load {load}: it must lie in 0.001 to 100000"));
        }
        if !(1..=SEEDS_MAX).contains(&self.seeds) {
            return wrong(format!(
                "--seeds {}: it must lie in 1 to {SEEDS_MAX}",
                self.seeds
            ));
        }
        let shares = [self.warm_up, self.scrape_loss, self.event_loss];
        if shares.iter().any(|share| !(0.0..1.0).contains(share)) {
            return wrong(
                "--warm-up, --scrape-loss and --event-loss must lie in 0 to 1".to_owned(),
            );
        }
        let times = [self.network_ms, self.event_lag_ms];
        if times.iter().any(|ms| !(0.0..=60_000.0).contains(ms))
            || !(1.0..=3_600_000.0).contains(&self.scrape_ms)
        {
            return wrong("--network-ms and --event-lag-ms must lie in 0 to 60000, --scrape-ms in 1 to 3600000".to_owned());
        }
        let fleet = self.fleet.as_deref().or(preset.map(|preset| preset.fleet));
        let fleet = Fleet::parse(fleet.unwrap_or("16x70b"), &self.profile()?)?;
        let texts = match (self.timeline.as_slice(), preset) {
            ([], Some(preset)) => preset
                .timeline
                .iter()
                .map(|text| (*text).to_owned())
                .collect(),
            (given, _) => given.to_vec(),
        };
        let timeline: Result<Vec<Timed>, String> = texts.iter().map(|text| text.parse()).collect();
        let timeline = timeline.map_err(|what| LabError::Plan(format!("--at {what}")))?;
        super::timeline::check(&timeline, fleet.len())?;
        let workloads: Result<Vec<Workload>, LabError> = (0..self.seeds)
            .map(|seed| self.workload(preset, seed))
            .collect();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let plan = Plan {
            workloads: workloads?,
            fleet,
            policies: policy::named(&self.policies)?,
            loads,
            conditions: Conditions {
                network_secs: self.network_ms / 1e3,
                scrape_secs: self.scrape_ms / 1e3,
                scrape_loss: self.scrape_loss,
                event_lag_secs: self.event_lag_ms / 1e3,
                event_loss: self.event_loss,
                routers: self
                    .routers
                    .or(preset.map(|preset| preset.routers))
                    .unwrap_or(1),
            },
            timeline,
            slo: self.slo,
            warm_up: self.warm_up,
            threads: self.threads.unwrap_or_else(cores),
        };
        Ok((plan, texts))
    }

    fn profile(&self) -> Result<BTreeMap<String, PerfRow>, LabError> {
        let Some(path) = &self.perf else {
            return Ok(BTreeMap::new());
        };
        let text = std::fs::read_to_string(path).map_err(|source| LabError::Read {
            path: path.clone(),
            source,
        })?;
        PerfRow::read_profile(&text)
            .map_err(|error| LabError::Plan(format!("{}: {error}", path.display())))
    }

    fn workload(&self, preset: Option<&Preset>, seed: u64) -> Result<Workload, LabError> {
        let from_preset = preset.map(|preset| preset.source);
        let mut workload = match (&self.trace, &self.workload, from_preset) {
            (Some(trace), ..) => self.traced(trace, seed)?,
            (None, Some(name), _) => synthetic::named(name, seed)?,
            (None, None, Some(Source::Trace(name))) => self.traced(name, seed)?,
            (None, None, Some(Source::Synthetic(name))) => synthetic::named(name, seed)?,
            (None, None, None) => {
                return Err(LabError::Plan(
                    "nothing to run: give --preset, --trace or --workload; --list says which \
                     there are"
                        .to_owned(),
                ));
            }
        };
        if let Some(count) = self.requests {
            workload.truncate(count);
        }
        if workload.jobs().is_empty() {
            return Err(LabError::Plan("the workload has no requests".to_owned()));
        }
        Ok(workload)
    }

    fn traced(&self, name: &str, seed: u64) -> Result<Workload, LabError> {
        let known = TRACES.iter().find(|(known, ..)| *known == name);
        let (path, block_tokens) = match known {
            Some((_, file, block_tokens)) => (self.data_dir()?.join(file), *block_tokens),
            None => (PathBuf::from(name), BLOCK_TOKENS),
        };
        let trace = Trace::load(&path, MOONCAKE_BLOCK_TOKENS)?;
        let block_tokens = self.block_tokens.unwrap_or(block_tokens);
        let title = if known.is_some() {
            name.to_owned()
        } else {
            let file = path.file_name().unwrap_or(path.as_os_str());
            file.to_string_lossy().into_owned()
        };
        let mut workload = Workload::from_trace(&title, &trace, block_tokens, seed)?;
        if self.closed_loop {
            super::chains::close(&mut workload);
        }
        Ok(workload)
    }

    fn data_dir(&self) -> Result<PathBuf, LabError> {
        if let Some(given) = &self.data {
            return Ok(given.clone());
        }
        let there = DATA_DIRS.iter().map(Path::new).find(|dir| dir.is_dir());
        there.map(Path::to_owned).ok_or_else(|| {
            LabError::Plan(format!(
                "published traces are in none of {}; say where with --data",
                DATA_DIRS.join(", ")
            ))
        })
    }

    fn setup(&self, plan: &Plan, timeline: Vec<String>) -> Setup {
        let first = &plan.workloads[0];
        let (input_tokens_mean, output_tokens_mean) = first.mean_tokens();
        Setup {
            workload: WorkloadFacts {
                name: first.name.clone(),
                requests: first.jobs().len(),
                span_secs: first.span_secs(),
                input_tokens_mean,
                output_tokens_mean,
                reuse: first.reuse(),
            },
            fleet: plan.fleet.to_string(),
            servers: plan.fleet.len(),
            block_tokens: first.block_tokens,
            seeds: self.seeds,
            warm_up: self.warm_up,
            slo: self.slo,
            conditions: plan.conditions,
            timeline,
            closed_loop: self.closed_loop,
        }
    }
}

fn bar(quiet: bool, runs: usize) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let template = "{bar:30} {pos}/{len} runs  {elapsed} (about {eta} left)";
    // The template is a constant; were it wrong, the plain style would do.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(runs as u64).with_style(style);
    bar.enable_steady_tick(std::time::Duration::from_millis(250));
    bar
}

fn listing() -> String {
    let mut text = String::from("presets\n");
    for preset in PRESETS {
        text.push_str(&format!("  {:20} {}\n", preset.name, preset.about));
    }
    text.push_str("traces\n");
    for (name, file, _) in TRACES {
        text.push_str(&format!("  {name:20} {file}\n"));
    }
    text.push_str("workloads\n");
    for (name, about) in synthetic::NAMES {
        text.push_str(&format!("  {name:20} {about}\n"));
    }
    text.push_str("policies\n");
    for kind in policy::POLICIES {
        text.push_str(&format!("  {:20} {}\n", kind.id, kind.title));
    }
    text.push_str("server classes\n");
    for (short, row) in super::fleet::CLASSES {
        text.push_str(&format!("  {short:20} {row}\n"));
    }
    text
}
