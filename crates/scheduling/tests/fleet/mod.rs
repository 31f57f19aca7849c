//! A fleet of model servers in virtual time, small but with what matters to routing: batches that
//! advance in steps, chunked prefill, a prefix cache with eviction, gauges that move at step ends
//! and are polled, and a router that sees nothing else. Not the simulator crate: this must stay
//! independent of what it tests and of what is tested with it.

pub(crate) mod server;
pub(crate) mod workload;

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use scheduling::{PrefixIndex, Query, Scheduler, Scratch};
use server::{Hardware, Job, Server};
use signals::{Ledger, Time};
use workload::Request;

const POLL_SECS: f64 = 0.05;

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) ttft: Vec<f64>,
    pub(crate) tpot: Vec<f64>,
    pub e2e: Vec<f64>,
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) served: Vec<u32>,
}

impl Report {
    pub(crate) fn mean_ttft(&self) -> f64 {
        self.ttft.iter().sum::<f64>() / self.ttft.len() as f64
    }

    pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    }

    pub(crate) fn hit_rate(&self) -> f64 {
        self.cached_tokens as f64 / self.prompt_tokens as f64
    }

    pub(crate) fn line(&self) -> String {
        let q = |share| Self::quantile(&self.ttft, share);
        let e2e = self.e2e.iter().sum::<f64>() / self.e2e.len() as f64;
        format!(
            "ttft mean {:.3} p50 {:.3} p90 {:.3} p99 {:.3} | tpot p50 {:.4} | e2e mean {:.2} | hit {:.3} | most {} least {}",
            self.mean_ttft(),
            q(0.5),
            q(0.9),
            q(0.99),
            Self::quantile(&self.tpot, 0.5),
            e2e,
            self.hit_rate(),
            self.served.iter().max().unwrap(),
            self.served.iter().min().unwrap(),
        )
    }
}

/// Runs `requests` (ordered by arrival) through `scheduler` over one server per entry of `fleet`.
pub(crate) fn run(
    scheduler: &Scheduler,
    fleet: &[Hardware],
    requests: &[Request],
    seed: u64,
) -> Report {
    let mut servers: Vec<Server> = fleet
        .iter()
        .enumerate()
        .map(|(id, hardware)| Server::new(id as u32, *hardware))
        .collect();
    let endpoints: Vec<_> = servers
        .iter()
        .map(|server| Arc::clone(&server.endpoint))
        .collect();
    let index = PrefixIndex::new(seed);
    let mut scratch = Scratch::default();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut report = Report {
        served: vec![0; fleet.len()],
        ..Report::default()
    };
    let (mut next, mut poll) = (0, 0.0);
    loop {
        let arrival = requests
            .get(next)
            .map_or(f64::INFINITY, |request| request.at);
        let step = servers
            .iter()
            .map(Server::step_end)
            .fold(f64::INFINITY, f64::min);
        if arrival.min(step).is_infinite() {
            break;
        }
        if poll <= arrival.min(step) {
            servers.iter().for_each(|server| server.scrape(poll));
            poll += POLL_SECS;
        } else if step <= arrival {
            for server in servers
                .iter_mut()
                .filter(|server| server.step_end() <= step)
            {
                server.end_step(step, &mut report);
            }
        } else {
            let request = &requests[next];
            next += 1;
            let now = Time::from_secs_f64(arrival + 1.0);
            let query = Query {
                model: "model",
                blocks: &request.blocks,
                block_tokens: request.block_tokens,
                prompt_tokens: request.prompt_tokens,
                ..Query::default()
            };
            let scheduled = scheduler
                .schedule(&query, &endpoints, &index, &mut scratch, now, &mut rng)
                .unwrap();
            let choice = &scheduled.decision.ranked[0];
            let endpoint = &choice.endpoint;
            let capacity = PrefixIndex::capacity_blocks(endpoint, request.block_tokens);
            index.store(endpoint.id(), capacity, query.full_blocks());
            let reservation = Ledger::reserve(endpoint, choice.load, now);
            let server = &mut servers[endpoint.id() as usize];
            report.served[endpoint.id() as usize] += 1;
            server.submit(Job::new(request, reservation), arrival);
        }
    }
    for endpoint in &endpoints {
        let left = endpoint.ledger().view();
        assert_eq!(
            (left.requests, left.prefill_tokens, left.total_tokens),
            (0, 0, 0)
        );
    }
    report
}
