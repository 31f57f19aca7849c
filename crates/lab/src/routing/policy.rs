//! Routing policies: ours as it runs in production, and what it is compared with.
//!
//! A policy is either a scheduling profile of the production crate, or one of the functions in
//! `policies`, re-implemented from the published description of its system (each file names its
//! source). All of them see the same endpoints, ledger, index and gauges.

mod affine;
mod dynamo;
mod llmd;
mod mooncake;
mod oracle;
mod plain;
mod preble;

use std::fmt;

use rand::rngs::SmallRng;
use scheduling::{BuildOptions, Registry, Scheduler};
use simulator::{Nanos, Node, PerfRow};

use super::workload::Job;
use crate::error::LabError;

/// One endpoint as a policy sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The server.
    pub(crate) node: usize,
    /// Requests waiting, as scraped.
    pub(crate) waiting: u32,
    /// Share of KV space in use, as scraped.
    pub(crate) kv_usage: f64,
    /// Our requests in flight.
    pub(crate) requests: u64,
    /// Uncached prompt tokens of our requests before their first token.
    pub(crate) prefill_tokens: u64,
    /// Leading blocks of the prompt that it is believed to hold.
    pub(crate) matched_blocks: u32,
    /// Prompt tokens that it would have to compute.
    pub(crate) uncached_tokens: u32,
    /// Blocks that it is believed to hold in all.
    pub(crate) held_blocks: u64,
}

/// The request to be routed.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) now: Nanos,
    /// Number of the request.
    pub(crate) number: u32,
    pub(crate) job: &'a Job,
    /// Hashes of its full blocks.
    pub(crate) blocks: &'a [u64],
    pub(crate) block_tokens: u32,
    /// Step times of each server, by node.
    pub(crate) rows: &'a [PerfRow],
    /// The servers themselves, for the oracle.
    pub(crate) truth: &'a [Node],
}

impl Ask<'_> {
    /// Share of the full blocks that match.
    pub(crate) fn match_share(&self, seen: &Seen) -> f64 {
        f64::from(seen.matched_blocks) / self.blocks.len().max(1) as f64
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It was sent.
    Sent,
    /// Its first token came.
    FirstToken,
    /// It is over; without an answer if no first token came.
    Ended,
}

/// A routing function. One per router: it sees that router's traffic only.
pub(crate) trait Policy {
    /// The place in `seen` to send to. `seen` is not empty.
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize;

    /// Follows its requests, in the order of time.
    fn note(&mut self, _ask: &Ask<'_>, _seen: &Seen, _progress: Progress) {}
}

/// Where a policy's picture of the caches comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// What the router sent where, bounded by each server's capacity.
    History,
    /// The servers' KV events.
    Events,
}

/// How a policy decides.
pub(crate) enum Decider {
    /// The production scheduler.
    Profile(Box<Scheduler>),
    /// A function of the lab.
    Function(Box<dyn Policy>),
}

/// A policy by name.
#[derive(Clone, Copy)]
pub struct PolicyKind {
    /// Name on the command line and in files.
    pub id: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Not a policy that anyone can run: it knows what no router knows.
    pub hypothetical: bool,
    pub(crate) picture: Picture,
    /// Only so many leading tokens of a prompt are looked up.
    pub(crate) prompt_tokens_max: Option<u32>,
    /// Whether its index learns from the cache hits that answers report.
    pub(crate) learns: bool,
    make: fn() -> Result<Decider, LabError>,
}

impl fmt::Debug for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl PolicyKind {
    pub(crate) fn decider(&self) -> Result<Decider, LabError> {
        (self.make)()
    }

    const fn function(id: &'static str, title: &'static str, make: MakeDecider) -> Self {
        Self {
            id,
            title,
            hypothetical: false,
            picture: Picture::History,
            prompt_tokens_max: None,
            learns: false,
            make,
        }
    }

    const fn with_events(mut self) -> Self {
        self.picture = Picture::Events;
        self
    }
}

type MakeDecider = fn() -> Result<Decider, LabError>;

fn function(policy: impl Policy + 'static) -> Result<Decider, LabError> {
    Ok(Decider::Function(Box::new(policy)))
}

/// The policy that the others are compared with.
pub const OURS: &str = "plimsoll";

/// Every policy, in the order of reports.
pub const POLICIES: &[PolicyKind] = &[
    PolicyKind::function("random", "random", || function(plain::Random)),
    PolicyKind::function("round-robin", "round robin", || {
        function(plain::RoundRobin::default())
    }),
    PolicyKind::function("least-request", "least request", || {
        function(plain::LeastRequest)
    }),
    PolicyKind::function("p2c", "power of two", || function(plain::PowerOfTwo)),
    PolicyKind::function("chwbl", "consistent hashing, bounded load", || {
        function(affine::BoundedHash::default())
    }),
    PolicyKind {
        prompt_tokens_max: Some(4096),
        ..PolicyKind::function("gie", "GIE default 2-2-3", gie)
    },
    PolicyKind::function("llmd-precise", "llm-d precise 3:2:2", || {
        function(llmd::Precise)
    })
    .with_events(),
    PolicyKind::function("llmd-token", "llm-d token-aware", || {
        function(llmd::TokenLoad)
    }),
    PolicyKind::function("llmd-sticky", "llm-d sticky .8/18 s", || {
        function(llmd::Sticky)
    }),
    PolicyKind::function("sglang", "SGLang cache-aware", || {
        function(affine::CacheAware { by_events: false })
    }),
    PolicyKind::function("smg", "SMG cache-aware (events)", || {
        function(affine::CacheAware { by_events: true })
    })
    .with_events(),
    PolicyKind::function("aibrix", "AIBrix prefix-cache", || function(affine::AiBrix)),
    PolicyKind::function(
        "preble",
        "Preble E2",
        || function(preble::Preble::default()),
    ),
    PolicyKind::function("lmetric", "LMetric", || function(llmd::LMetric)),
    PolicyKind::function("dynamo", "Dynamo default", || {
        function(dynamo::Dynamo::new(1.0))
    })
    .with_events(),
    PolicyKind::function("dynamo-tuned", "Dynamo, prefill scale 4", || {
        function(dynamo::Dynamo::new(4.0))
    })
    .with_events(),
    PolicyKind::function("mooncake", "Mooncake min predicted TTFT", || {
        function(mooncake::MinTtft::default())
    })
    .with_events(),
    PolicyKind {
        hypothetical: true,
        ..PolicyKind::function("oracle", "greedy oracle", || function(oracle::Greedy))
    },
    PolicyKind {
        learns: true,
        ..PolicyKind::function(OURS, "Plimsoll default", || {
            Ok(Decider::Profile(Box::new(Scheduler::standard())))
        })
    },
];

/// Finds policies by a comma-separated list; `all` stands for every one.
///
/// # Errors
/// [`LabError::Plan`] for a name that is not known.
pub fn named(list: &str) -> Result<Vec<PolicyKind>, LabError> {
    if list == "all" {
        return Ok(POLICIES.to_vec());
    }
    let find = |name: &str| {
        let found = POLICIES.iter().find(|kind| kind.id == name.trim());
        found.copied().ok_or_else(|| {
            let known: Vec<&str> = POLICIES.iter().map(|kind| kind.id).collect();
            LabError::Plan(format!(
                "no policy {name:?}; known are all, {}",
                known.join(", ")
            ))
        })
    };
    list.split(',').map(find).collect()
}

/// The reference picker's default: queue 2, KV 2, prefix 3.
fn gie() -> Result<Decider, LabError> {
    profile(&[
        ("queue-scorer", 2.0),
        ("kv-cache-utilization-scorer", 2.0),
        ("prefix-cache-scorer", 3.0),
    ])
}

/// A picker's own configuration, as its users would write it.
fn profile(scorers: &[(&str, f64)]) -> Result<Decider, LabError> {
    let plugins: Vec<_> = scorers
        .iter()
        .map(|(kind, _)| serde_json::json!({ "type": kind }))
        .collect();
    let references: Vec<_> = scorers
        .iter()
        .map(|(kind, weight)| serde_json::json!({ "pluginRef": kind, "weight": weight }))
        .collect();
    let config = serde_json::json!({
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": plugins,
        "schedulingProfiles": [{ "name": "default", "plugins": references }],
    });
    let (scheduler, problems) = Scheduler::read(
        "lab",
        &config.to_string(),
        &Registry::standard(),
        BuildOptions::default(),
        None,
    );
    scheduler
        .map(|scheduler| Decider::Profile(Box::new(scheduler)))
        .ok_or_else(|| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            LabError::Plan(lines.join("; "))
        })
}

/// The place with the least key; among equals a random one.
pub(crate) fn least<K: PartialOrd>(
    seen: &[Seen],
    rng: &mut SmallRng,
    mut key: impl FnMut(&Seen) -> K,
) -> usize {
    use rand::RngExt;
    let (mut best, mut ties) = (0, 0_u32);
    let mut least: Option<K> = None;
    for (place, seen) in seen.iter().enumerate() {
        let key = key(seen);
        let order = least.as_ref().map(|least| key.partial_cmp(least));
        match order {
            Some(Some(std::cmp::Ordering::Equal)) => {
                ties += 1;
                // Each of the equals so far is kept with the same chance.
                if rng.random_range(0..=ties) == 0 {
                    best = place;
                }
            }
            None | Some(Some(std::cmp::Ordering::Less)) => {
                (best, ties, least) = (place, 0, Some(key));
            }
            _ => {}
        }
    }
    best
}
