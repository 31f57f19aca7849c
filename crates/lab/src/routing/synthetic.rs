//! Workloads that are made up: the public shared-prefix benchmark, and situations that traces do
//! not hold.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::workload::{Job, Workload};
use crate::error::LabError;
use crate::text::mix;

/// Names on the command line, with what they are.
pub(crate) const NAMES: &[(&str, &str)] = &[
    (
        "shared-prefix",
        "llm-d's 73 % capacity benchmark, 1,000 output tokens",
    ),
    ("shared-prefix-500", "the same with 500 output tokens"),
    (
        "hot-tenant",
        "one of 40 tenants sends half of all requests for a third of the time",
    ),
    (
        "lora-churn",
        "64 adapters, of which other ones are popular every two minutes",
    ),
    (
        "agents",
        "agents with growing contexts that come in bursts and wait for their tools",
    ),
];

/// The workload of that name.
///
/// # Errors
/// [`LabError::Plan`] for a name that is not known.
pub(crate) fn named(name: &str, seed: u64) -> Result<Workload, LabError> {
    let rng = SmallRng::seed_from_u64(mix(seed ^ 0x5ced));
    match name {
        "shared-prefix" => Ok(shared_prefix(name, 1000, rng)),
        "shared-prefix-500" => Ok(shared_prefix(name, 500, rng)),
        "hot-tenant" => Ok(hot_tenant(name, rng)),
        "lora-churn" => Ok(lora_churn(name, rng)),
        "agents" => Ok(agents(name, rng)),
        _ => {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Err(LabError::Plan(format!(
                "no workload {name:?}; known are {}",
                known.join(", ")
            )))
        }
    }
}

/// Time to the next arrival of a Poisson process.
fn exponential(rng: &mut SmallRng, per_sec: f64) -> f64 {
    -(1.0 - rng.random::<f64>()).ln() / per_sec
}

/// Lognormal with the given median, cut to `1..=most`.
fn lognormal(rng: &mut SmallRng, median: f64, sigma: f64, most: u32) -> u32 {
    // Box and Muller.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
    ((median * (sigma * normal).exp()) as u32).clamp(1, most)
}

/// Blocks of a prompt: `prefix` tokens of a stream that others share, the rest its own. The prefix
/// is rounded down to whole blocks.
fn blocks(block: u32, shared: u64, prefix: u32, own: u64) -> impl Iterator<Item = u64> {
    let prefix = u64::from(prefix / block);
    (0_u64..).map(move |at| {
        let stream = if at < prefix { shared } else { own };
        mix(stream << 24 | at)
    })
}

/// The benchmark behind llm-d's published numbers: 150 groups of 5 prompts, 6,000 tokens of system
/// prompt and 1,200 of question, in stages of Poisson arrivals with pauses of 30 s.
fn shared_prefix(name: &str, output: u32, mut rng: SmallRng) -> Workload {
    const STAGES: [(f64, f64); 17] = [
        (15.0, 50.0),
        (3.0, 20.0),
        (10.0, 20.0),
        (15.0, 20.0),
        (20.0, 38.0),
        (22.0, 34.0),
        (25.0, 30.0),
        (30.0, 25.0),
        (35.0, 21.0),
        (40.0, 38.0),
        (43.0, 36.0),
        (46.0, 33.0),
        (49.0, 30.0),
        (52.0, 29.0),
        (55.0, 27.0),
        (57.0, 26.0),
        (60.0, 25.0),
    ];
    const PAUSE_SECS: f64 = 30.0;
    let mut workload = Workload::new(name, 200);
    let mut start = 0.0;
    for (rate, lasts) in STAGES {
        let mut at = start + exponential(&mut rng, rate);
        while at < start + lasts {
            let (group, prompt) = (rng.random_range(0..150_u64), rng.random_range(0..5_u64));
            let own = 1 << 20 | group << 8 | prompt;
            workload.push(Job::new(at, 7200, output), blocks(200, group, 6000, own));
            at += exponential(&mut rng, rate);
        }
        start += lasts + PAUSE_SECS;
    }
    workload
}

/// Forty tenants with a system prompt of 2,000 tokens each. For the middle third of twenty minutes
/// one of them sends as much as all others together.
fn hot_tenant(name: &str, mut rng: SmallRng) -> Workload {
    const SPAN_SECS: f64 = 1200.0;
    const RATE: f64 = 4.0;
    let mut workload = Workload::new(name, 100);
    let (mut at, mut number) = (0.0, 0_u64);
    while at < SPAN_SECS {
        let hot = (SPAN_SECS / 3.0..SPAN_SECS * 2.0 / 3.0).contains(&at);
        let rate = if hot { 2.0 * RATE } else { RATE };
        at += exponential(&mut rng, rate);
        let tenant = if hot && rng.random::<bool>() {
            0
        } else {
            rng.random_range(0..40_u64)
        };
        let question = lognormal(&mut rng, 800.0, 1.0, 30_000);
        let output = lognormal(&mut rng, 200.0, 0.7, 2000);
        number += 1;
        let mut job = Job::new(at, 2000 + question, output);
        job.client = tenant as u32 + 1;
        workload.push(job, blocks(100, tenant, 2000, 1 << 32 | number));
    }
    workload.sort();
    workload
}

/// Sixty-four adapters, popular by Zipf's law; every two minutes the order of popularity moves on
/// by a quarter.
fn lora_churn(name: &str, mut rng: SmallRng) -> Workload {
    const SPAN_SECS: f64 = 1200.0;
    const RATE: f64 = 6.0;
    const ADAPTERS: u32 = 64;
    let mut workload = Workload::new(name, 100);
    workload.adapters = ADAPTERS;
    let weights: Vec<f64> = (1..=ADAPTERS).map(|rank| 1.0 / f64::from(rank)).collect();
    let sum: f64 = weights.iter().sum();
    let (mut at, mut number) = (0.0, 0_u64);
    while at < SPAN_SECS {
        at += exponential(&mut rng, RATE);
        let mut left = rng.random::<f64>() * sum;
        let rank = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        let turn = (at / 120.0) as u32 * (ADAPTERS / 4);
        let adapter = (rank.unwrap_or(0) as u32 + turn) % ADAPTERS;
        let question = lognormal(&mut rng, 1000.0, 1.0, 30_000);
        let output = lognormal(&mut rng, 200.0, 0.7, 2000);
        number += 1;
        let mut job = Job::new(at, 500 + question, output);
        job.adapter = Some(adapter);
        workload.push(job, blocks(100, u64::from(adapter), 500, 1 << 32 | number));
    }
    workload.sort();
    workload
}

/// Agents: each starts from one of eight tool sets of 8,000 tokens and a task of its own, and takes
/// 5 to 30 turns, each of which brings the answer and a tool's output of some 1,500 tokens into
/// its context and waits for the tool in between. They come in bursts of four to twelve.
fn agents(name: &str, mut rng: SmallRng) -> Workload {
    const SPAN_SECS: f64 = 1200.0;
    const BURSTS_PER_SEC: f64 = 0.04;
    const CONTEXT_MAX: u32 = 120_000;
    let block = 100;
    let mut workload = Workload::new(name, block);
    let (mut at, mut session) = (0.0, 0_u64);
    while at < SPAN_SECS {
        at += exponential(&mut rng, BURSTS_PER_SEC);
        let tools = rng.random_range(0..8_u64);
        for _ in 0..rng.random_range(4..=12) {
            session += 1;
            let turns = rng.random_range(5..=30);
            let mut context = 8000 + lognormal(&mut rng, 4000.0, 1.0, 60_000);
            let mut before = None;
            for _ in 0..turns {
                let output = lognormal(&mut rng, 300.0, 0.6, 3000);
                let pause = exponential(&mut rng, 0.2);
                let mut job = Job::new(before.map_or(at, |_| pause), context, output);
                job.after = before;
                job.client = session as u32;
                before = Some(workload.jobs().len() as u32);
                workload.push(job, blocks(block, tools, 8000, 1 << 32 | session));
                context += output + lognormal(&mut rng, 1500.0, 0.8, 20_000);
                if context > CONTEXT_MAX {
                    break;
                }
            }
        }
    }
    workload
}
