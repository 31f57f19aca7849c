//! One router: its own view of the fleet, its own traffic, and a policy.
//!
//! What the production gateway does around a decision is done here in the same order: schedule,
//! reserve in the ledger, promise the blocks to the index; at the first token and at the end give
//! back, and learn from the reported cache hits.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use scheduling::{HitReport, Positions, PrefixIndex, Query, Scratch};
use signals::{
    Endpoint, EndpointIdentity, Engine as EngineKind, Ledger, Load, LoraState, Reservation, Scrape,
    ScrapeMark, Time,
};
use simulator::{CacheChange, Gauges, Nanos};

use super::holdings::Holdings;
use super::policy::{Ask, Decider, Picture, PolicyKind, Progress, Seen};
use super::workload::{Job, Workload};
use crate::error::LabError;

/// Name of the base model.
const BASE_MODEL: &str = "base";

/// A request on its way, as its router sees it.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) node: usize,
    seen: Seen,
    reservation: Reservation,
}

/// See the [module](self).
pub(crate) struct Router {
    kind: PolicyKind,
    decider: Decider,
    endpoints: Vec<Arc<Endpoint>>,
    index: PrefixIndex,
    holdings: Option<Holdings>,
    scratch: Scratch,
    positions: Positions,
    matched: Vec<u32>,
    seen: Vec<Seen>,
    rng: SmallRng,
}

/// What a router is asked, with the workload that the request belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) ask: Ask<'a>,
}

impl<'a> Request<'a> {
    /// The blocks that the policy looks at.
    fn looked_up(&self, kind: &PolicyKind) -> (&'a [u64], &'a [u64]) {
        let (all, full) = (self.workload.blocks(self.ask.job), self.ask.blocks);
        match kind.prompt_tokens_max {
            None => (all, full),
            Some(tokens) => {
                let most = (tokens / self.ask.block_tokens).max(1) as usize;
                (&all[..all.len().min(most)], &full[..full.len().min(most)])
            }
        }
    }
}

impl Router {
    /// A router that knows no endpoint yet. `servers` is how many there may ever be.
    pub(crate) fn new(kind: PolicyKind, servers: usize, seed: u64) -> Result<Self, LabError> {
        Ok(Self {
            decider: kind.decider()?,
            kind,
            endpoints: Vec::new(),
            index: PrefixIndex::new(seed),
            holdings: (kind.picture == Picture::Events).then(|| Holdings::new(servers)),
            scratch: Scratch::default(),
            positions: Positions::default(),
            matched: Vec::new(),
            seen: Vec::new(),
            rng: SmallRng::seed_from_u64(seed),
        })
    }

    /// Whether it follows KV events.
    pub(crate) fn wants_events(&self) -> bool {
        self.holdings.is_some()
    }

    /// A server joins. Its capacity is known from the first scrape, which comes with it.
    pub(crate) fn join(&mut self, node: usize, block_tokens: u32, blocks: u32, now: Nanos) {
        let name: Arc<str> = format!("server-{node}").into();
        let identity = EndpointIdentity {
            host: Arc::clone(&name),
            name,
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + node as u32)), 8000),
            https: false,
            labels: Arc::new(BTreeMap::new()),
            rank: 0,
        };
        let endpoint = Arc::new(Endpoint::new(node as u32, identity));
        let scrape = Scrape {
            engine: EngineKind::Vllm,
            waiting: Some(0),
            running: Some(0),
            kv_usage: Some(0.0),
            block_size: Some(block_tokens),
            blocks: Some(blocks),
            ..Scrape::default()
        };
        endpoint.signals().apply(&scrape, time(now));
        self.endpoints.push(endpoint);
    }

    /// A server leaves: it gets nothing new.
    pub(crate) fn leave(&mut self, node: usize) {
        self.endpoints
            .retain(|endpoint| endpoint.id() as usize != node);
        self.index.remove_endpoint(node as u32);
        if let Some(holdings) = &mut self.holdings {
            holdings.clear(node);
        }
    }

    /// Chooses a server; `None` when there is none.
    pub(crate) fn route(&mut self, request: Request<'_>) -> Option<Routed> {
        let (seen, load) = match &self.decider {
            Decider::Profile(_) => self.schedule(request)?,
            Decider::Function(_) => self.call(request)?,
        };
        let endpoint = self.endpoint(seen.node)?;
        let reservation = Ledger::reserve(endpoint, load, time(request.ask.now));
        let capacity = PrefixIndex::capacity_blocks(endpoint, request.ask.block_tokens);
        let (_, full) = request.looked_up(&self.kind);
        self.index.store(seen.node as u32, capacity, full);
        let routed = Routed {
            node: seen.node,
            seen,
            reservation,
        };
        self.note(request.ask, &routed, Progress::Sent);
        Some(routed)
    }

    fn schedule(&mut self, request: Request<'_>) -> Option<(Seen, Load)> {
        let Decider::Profile(profile) = &self.decider else {
            return None;
        };
        let ask = request.ask;
        let (blocks, _) = request.looked_up(&self.kind);
        let adapter = ask.job.adapter.map(adapter_name);
        let query = Query {
            model: adapter.as_deref().unwrap_or(BASE_MODEL),
            blocks,
            block_tokens: ask.block_tokens,
            prompt_tokens: u64::from(ask.job.input_tokens),
            ..Query::default()
        };
        let decision = profile.schedule(
            &query,
            &self.endpoints,
            &self.index,
            &mut self.scratch,
            time(ask.now),
            &mut self.rng,
        );
        let choice = decision.ok()?.decision.ranked.into_iter().next()?;
        let seen = Seen {
            node: choice.endpoint.id() as usize,
            matched_blocks: choice.matched_blocks,
            uncached_tokens: choice.uncached_tokens as u32,
            ..Seen::default()
        };
        Some((seen, choice.load))
    }

    fn call(&mut self, request: Request<'_>) -> Option<(Seen, Load)> {
        self.survey(request);
        if self.seen.is_empty() {
            return None;
        }
        let Decider::Function(policy) = &mut self.decider else {
            return None;
        };
        let place = policy.pick(&request.ask, &self.seen, &mut self.rng);
        let seen = *self.seen.get(place)?;
        let cached = request.ask.job.input_tokens - seen.uncached_tokens;
        let load = Load::estimate(u64::from(seen.uncached_tokens), u64::from(cached), 0);
        Some((seen, load))
    }

    /// Reads the state of every endpoint that can be used.
    fn survey(&mut self, request: Request<'_>) {
        let ask = &request.ask;
        let (_, full) = request.looked_up(&self.kind);
        match &mut self.holdings {
            Some(holdings) => holdings.longest_match(full, &mut self.matched),
            None => {
                self.positions.set(&self.endpoints);
                self.matched.clear();
                self.matched.resize(self.endpoints.len(), 0);
                self.index
                    .longest_match(full, &self.positions, &mut self.matched);
            }
        }
        let now = time(ask.now);
        let any_well = self
            .endpoints
            .iter()
            .any(|endpoint| !endpoint.health().is_suspect(now));
        self.seen.clear();
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            if any_well && endpoint.health().is_suspect(now) {
                continue;
            }
            let node = endpoint.id() as usize;
            let at = if self.holdings.is_some() { node } else { place };
            let matched = self.matched.get(at).copied().unwrap_or(0);
            let cached = (matched * ask.block_tokens).min(ask.job.input_tokens - 1);
            let (signals, load) = (endpoint.signals().view(now), endpoint.ledger().view());
            self.seen.push(Seen {
                node,
                waiting: signals.scraped.waiting,
                kv_usage: f64::from(signals.scraped.kv_usage),
                requests: load.requests,
                prefill_tokens: load.prefill_tokens,
                matched_blocks: matched,
                uncached_tokens: ask.job.input_tokens - cached,
                held_blocks: self.holdings.as_ref().map_or_else(
                    || self.index.held_blocks(node as u32),
                    |holdings| holdings.held(node),
                ),
            });
        }
    }

    /// The server refused the connection, or broke it before the first token.
    pub(crate) fn failed(&mut self, ask: Ask<'_>, routed: Routed) {
        self.note(ask, &routed, Progress::Ended);
        if let Some(endpoint) = self.endpoint(routed.node) {
            endpoint.health().note_connect_failure(time(ask.now));
        }
        let held = routed.seen.matched_blocks;
        self.index
            .forget_after(routed.node as u32, ask.blocks, held);
        drop(routed);
    }

    /// The first token came.
    pub(crate) fn first_token(&mut self, ask: Ask<'_>, routed: &mut Routed) {
        routed.reservation.first_token(time(ask.now));
        self.note(ask, routed, Progress::FirstToken);
        if let Some(endpoint) = self.endpoint(routed.node) {
            endpoint.health().note_success();
        }
    }

    /// The answer is complete, and says how much of the prompt was cached.
    pub(crate) fn ended(&mut self, request: Request<'_>, routed: Routed, cached_tokens: u32) {
        let (blocks, _) = request.looked_up(&self.kind);
        let looked_up = blocks.len() as u32 * request.ask.block_tokens;
        let prompt_tokens = u64::from(request.ask.job.input_tokens.min(looked_up));
        let report = HitReport {
            predicted_blocks: routed.seen.matched_blocks,
            total_blocks: blocks.len() as u32,
            cached_tokens: u64::from(cached_tokens).min(prompt_tokens),
            prompt_tokens,
        };
        if self.kind.learns {
            self.index.learn(routed.node as u32, &report);
        }
        self.note(request.ask, &routed, Progress::Ended);
        drop(routed);
    }

    fn note(&mut self, ask: Ask<'_>, routed: &Routed, progress: Progress) {
        if let Decider::Function(policy) = &mut self.decider {
            policy.note(&ask, &routed.seen, progress);
        }
    }

    /// Where our own traffic stands as a scrape is asked for.
    pub(crate) fn mark(&self, node: usize) -> Option<ScrapeMark> {
        self.endpoint(node)
            .map(|endpoint| endpoint.signals().mark())
    }

    /// A scrape that was asked for at `mark` has come.
    pub(crate) fn scraped(
        &mut self,
        node: usize,
        gauges: &Gauges,
        adapters: bool,
        max_loras: u32,
        mark: ScrapeMark,
        now: Nanos,
    ) {
        let Some(endpoint) = self.endpoint(node) else {
            return;
        };
        let names = |ids: &[simulator::AdapterId]| {
            ids.iter().map(|id| Arc::from(adapter_name(id.0))).collect()
        };
        let lora = adapters.then(|| LoraState {
            running: names(&gauges.running_adapters),
            waiting: names(&gauges.waiting_adapters),
            max: max_loras,
        });
        let scrape = Scrape {
            engine: EngineKind::Vllm,
            waiting: Some(gauges.waiting),
            running: Some(gauges.running),
            kv_usage: Some(gauges.kv_usage as f32),
            lora,
            ..Scrape::default()
        };
        endpoint.signals().apply_since(&scrape, mark, time(now));
    }

    /// KV events of a server.
    pub(crate) fn cache_changed(&mut self, node: usize, changes: &[CacheChange]) {
        if let Some(holdings) = &mut self.holdings {
            holdings.apply(node, changes);
        }
    }

    fn endpoint(&self, node: usize) -> Option<&Arc<Endpoint>> {
        let at = |place: usize| {
            self.endpoints
                .get(place)
                .filter(|one| one.id() as usize == node)
        };
        // Nearly always at its own number.
        at(node).or_else(|| self.endpoints.iter().find(|one| one.id() as usize == node))
    }
}

/// Simulated time as the production crates count it; their zero means "never".
fn time(now: Nanos) -> Time {
    Time(now + 1)
}

fn adapter_name(id: u32) -> String {
    format!("adapter-{id}")
}

/// What a server needs to run a request.
pub(crate) fn submission(workload: &Workload, job: &Job) -> simulator::Submission {
    simulator::Submission {
        prompt_tokens: job.input_tokens,
        output_tokens: job.output_tokens,
        blocks: workload.full_blocks(job).to_vec(),
        adapter: job.adapter.map(simulator::AdapterId),
        ..simulator::Submission::default()
    }
}
