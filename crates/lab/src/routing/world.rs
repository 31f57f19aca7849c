//! One run in virtual time: a workload, a fleet, routers with a policy, and everything that is late
//! or gets lost between them.

mod event;
mod members;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use signals::ScrapeMark;
use simulator::{CacheChange, Event, Gauges, Nanos, Node, PerfRow, RequestId};

use super::policy::{Ask, PolicyKind};
use super::router::{Request, Routed, Router, submission};
use super::timeline::Timed;
use super::workload::{Job, Workload, nanos, share};
use crate::error::LabError;
use crate::text::mix;
use event::{Due, What};

/// Servers tried for one request before its first token, as in the gateway.
const ATTEMPTS_MAX: u8 = 4;
/// After the last arrival a run goes on for so long; what has not ended then has failed.
const DRAIN_MAX: Nanos = 4 * 3600 * 1_000_000_000;
/// No server.
const NOWHERE: usize = usize::MAX;

/// How the world between clients, routers and servers behaves.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// One way between any two machines, seconds.
    pub network_secs: f64,
    /// Between two scrapes of one server, seconds.
    pub scrape_secs: f64,
    /// Share of scrapes that get lost.
    pub scrape_loss: f64,
    /// From a change of a cache to the router's knowledge of it, seconds.
    pub event_lag_secs: f64,
    /// Share of KV events that get lost.
    pub event_loss: f64,
    /// Routers, each of which sees its own requests only.
    pub routers: u16,
}

impl Default for Conditions {
    /// One router in the servers' data centre that scrapes every 50 ms, as the reference picker.
    fn default() -> Self {
        Self {
            network_secs: 0.000_25,
            scrape_secs: 0.05,
            scrape_loss: 0.0,
            event_lag_secs: 0.01,
            event_loss: 0.0,
            routers: 1,
        }
    }
}

/// What a run is made of.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) rows: &'a [PerfRow],
    pub(crate) conditions: &'a Conditions,
    pub(crate) timeline: &'a [Timed],
    /// How many times the workload's rate requests come at.
    pub(crate) load: f64,
    pub(crate) seed: u64,
}

/// What became of a request. Times are the client's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) arrived: Nanos,
    pub(crate) first_token: Option<Nanos>,
    /// When it ended, well or not; `None` if it never did.
    pub(crate) ended: Option<Nanos>,
    pub(crate) failed: bool,
    pub(crate) cached_tokens: u32,
    pub(crate) preemptions: u32,
    /// Server that answered.
    pub(crate) node: usize,
}

/// One request under way.
#[derive(Default)]
struct Flight {
    fate: Fate,
    router: usize,
    routed: Option<Routed>,
    attempts: u8,
}

/// A scrape or a batch of KV events on its way to a router.
enum Parcel {
    Gauges(Gauges, ScrapeMark),
    Changes(Vec<CacheChange>),
}

pub(crate) struct World<'a> {
    scene: Scene<'a>,
    net: Nanos,
    now: Nanos,
    dues: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    next_arrival: usize,
    /// Requests by the one they wait for.
    followers: HashMap<u32, Vec<u32>>,
    nodes: Vec<Node>,
    /// When each node has something to do; [`Nanos::MAX`] for never.
    node_due: Vec<Nanos>,
    by_id: Vec<HashMap<RequestId, u32>>,
    routers: Vec<Router>,
    flights: Vec<Flight>,
    open: usize,
    last_arrival: Nanos,
    parcels: Vec<Option<Parcel>>,
    vacant: Vec<u32>,
    events: Vec<Event>,
    changes: Vec<CacheChange>,
    draws: u64,
    adapters: bool,
    follows_events: bool,
    members: Vec<bool>,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        scene: Scene<'a>,
        kind: PolicyKind,
        engines: Vec<simulator::EngineConfig>,
    ) -> Result<Self, LabError> {
        let jobs = scene.workload.jobs();
        let servers = scene.rows.len();
        let make =
            |number: u16| Router::new(kind, servers, mix(scene.seed ^ u64::from(number) << 8));
        let routers: Result<Vec<Router>, LabError> =
            (0..scene.conditions.routers.max(1)).map(make).collect();
        let routers = routers?;
        let mut followers: HashMap<u32, Vec<u32>> = HashMap::new();
        for (number, job) in (0_u32..).zip(jobs) {
            if let Some(after) = job.after {
                followers.entry(after).or_default().push(number);
            }
        }
        let nodes: Vec<Node> = engines
            .into_iter()
            .zip(0_u64..)
            .map(|(config, number)| Node::new(config, mix(scene.seed ^ number << 32)))
            .collect();
        Ok(Self {
            net: nanos(scene.conditions.network_secs),
            now: 0,
            dues: BinaryHeap::new(),
            sequence: 0,
            next_arrival: 0,
            followers,
            node_due: vec![Nanos::MAX; nodes.len()],
            by_id: vec![HashMap::new(); nodes.len()],
            members: vec![false; nodes.len()],
            nodes,
            follows_events: routers.iter().any(Router::wants_events),
            routers,
            flights: jobs.iter().map(|_| Flight::default()).collect(),
            open: jobs.len(),
            last_arrival: 0,
            parcels: Vec::new(),
            vacant: Vec::new(),
            events: Vec::new(),
            changes: Vec::new(),
            draws: 0,
            adapters: scene.workload.adapters > 0,
            scene,
        })
    }

    /// Runs to the end; returns what became of each request.
    pub(crate) fn run(mut self, members: usize) -> Vec<Fate> {
        for node in 0..members {
            self.join(node);
        }
        for (place, timed) in self.scene.timeline.iter().enumerate() {
            self.push(timed.at, What::Timeline(place));
        }
        while self.open > 0 && self.now <= self.last_arrival + DRAIN_MAX {
            if !self.step() {
                break;
            }
        }
        self.flights.iter().map(|flight| flight.fate).collect()
    }

    /// Does what comes next; false when nothing is left to do.
    fn step(&mut self) -> bool {
        let arrival = self.peek_arrival();
        let due = self.dues.peek().map_or(Nanos::MAX, |Reverse(due)| due.at);
        let (node, node_due) = self.soonest_node();
        let soonest = arrival.min(due).min(node_due);
        if soonest == Nanos::MAX {
            return false;
        }
        self.now = self.now.max(soonest);
        if node_due == soonest {
            self.advance(node);
        } else if due == soonest {
            if let Some(Reverse(due)) = self.dues.pop() {
                self.happen(due.what);
            }
        } else {
            let number = self.next_arrival as u32;
            self.next_arrival += 1;
            self.arrive(number);
        }
        true
    }

    /// When the next request comes that waits for no other.
    fn peek_arrival(&mut self) -> Nanos {
        let jobs = self.scene.workload.jobs();
        while let Some(job) = jobs.get(self.next_arrival) {
            if job.after.is_none() {
                return nanos(job.at_secs / self.scene.load);
            }
            self.next_arrival += 1;
        }
        Nanos::MAX
    }

    fn soonest_node(&self) -> (usize, Nanos) {
        let mut soonest = (NOWHERE, Nanos::MAX);
        for (node, due) in self.node_due.iter().enumerate() {
            if *due < soonest.1 {
                soonest = (node, *due);
            }
        }
        soonest
    }

    fn push(&mut self, at: Nanos, what: What) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.dues.push(Reverse(Due { at, sequence, what }));
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrive(number) => self.arrive(number),
            What::Reach(number) => self.reach(number),
            What::Refused(number) => self.refused(number),
            What::FirstToken(number) => self.first_token(number),
            What::Ended(number) => self.ended(number),
            What::Scrape(router, node) => self.scrape(router, node),
            What::Sample(router, node, mark) => self.sample(router, node, mark),
            What::Parcel(router, node, parcel) => self.deliver(router, node, parcel),
            What::Timeline(place) => self.timeline(place),
            What::Join(node) => self.join(node),
        }
    }

    fn job(&self, number: u32) -> &'a Job {
        &self.scene.workload.jobs()[number as usize]
    }

    /// A number in 0..1.
    fn draw(&mut self) -> f64 {
        self.draws += 1;
        share(self.scene.seed ^ mix(self.draws))
    }

    fn arrive(&mut self, number: u32) {
        let routers = self.routers.len() as u64;
        let client = self.job(number).client;
        let key = if client == 0 { number } else { client };
        let flight = &mut self.flights[number as usize];
        flight.fate.arrived = self.now;
        flight.fate.node = NOWHERE;
        flight.router = (mix(u64::from(key)) % routers) as usize;
        self.last_arrival = self.last_arrival.max(self.now);
        self.route(number);
    }

    fn route(&mut self, number: u32) {
        let request = request(self.scene, &self.nodes, self.now, number);
        let flight = &mut self.flights[number as usize];
        flight.attempts += 1;
        match self.routers[flight.router].route(request) {
            Some(routed) if flight.attempts <= ATTEMPTS_MAX => {
                flight.routed = Some(routed);
                self.push(self.now + self.net, What::Reach(number));
            }
            _ => self.fail(number),
        }
    }

    /// The request is at the server.
    fn reach(&mut self, number: u32) {
        let node = self.node_of(number);
        let submission = submission(self.scene.workload, self.job(number));
        match self.nodes[node].submit(self.now, submission) {
            Ok(id) => {
                self.by_id[node].insert(id, number);
                self.renew_due(node);
            }
            Err(_) => self.push(self.now + self.net, What::Refused(number)),
        }
    }

    fn node_of(&self, number: u32) -> usize {
        let routed = self.flights[number as usize].routed.as_ref();
        routed.map_or(0, |routed| routed.node)
    }

    fn renew_due(&mut self, node: usize) {
        self.node_due[node] = self.nodes[node].next_event().unwrap_or(Nanos::MAX);
    }

    fn advance(&mut self, node: usize) {
        let mut events = std::mem::take(&mut self.events);
        self.nodes[node].advance(self.now, &mut events);
        self.renew_due(node);
        self.tell(node, &mut events);
        self.events = events;
    }

    /// Passes on what a server has done.
    fn tell(&mut self, node: usize, events: &mut Vec<Event>) {
        if self.follows_events {
            self.send_changes(node);
        }
        for event in events.drain(..) {
            match event {
                Event::Scheduled {
                    id, cached_tokens, ..
                } => {
                    if let Some(number) = self.by_id[node].get(&id) {
                        self.flights[*number as usize].fate.cached_tokens = cached_tokens;
                    }
                }
                Event::Token { id, at, index: 0 } => {
                    if let Some(number) = self.by_id[node].get(&id).copied() {
                        self.push(at + self.net, What::FirstToken(number));
                    }
                }
                Event::Token { .. } | Event::Fetching { .. } => {}
                Event::Finished { id, summary } => {
                    let Some(number) = self.by_id[node].remove(&id) else {
                        continue;
                    };
                    let lost = summary.reason != simulator::FinishReason::Complete;
                    let told = summary.finished + self.net;
                    let fate = &mut self.flights[number as usize].fate;
                    fate.preemptions += summary.preemptions;
                    if lost {
                        self.push(told, What::Refused(number));
                    } else {
                        self.push(told, What::Ended(number));
                    }
                }
            }
        }
    }

    /// The router learns that a server did not take a request, or lost it.
    fn refused(&mut self, number: u32) {
        let flight = &mut self.flights[number as usize];
        let answered = flight.fate.first_token.is_some();
        let Some(routed) = flight.routed.take() else {
            return;
        };
        let request = request(self.scene, &self.nodes, self.now, number);
        self.routers[flight.router].failed(request.ask, routed);
        if answered {
            // The client has begun to read: nobody can answer in its place any more.
            self.fail(number);
        } else {
            self.route(number);
        }
    }

    fn first_token(&mut self, number: u32) {
        let request = request(self.scene, &self.nodes, self.now, number);
        let flight = &mut self.flights[number as usize];
        flight.fate.first_token = Some(self.now + self.net);
        if let Some(routed) = &mut flight.routed {
            self.routers[flight.router].first_token(request.ask, routed);
        }
    }

    fn ended(&mut self, number: u32) {
        let request = request(self.scene, &self.nodes, self.now, number);
        let flight = &mut self.flights[number as usize];
        if let Some(routed) = flight.routed.take() {
            flight.fate.node = routed.node;
            let cached = flight.fate.cached_tokens;
            self.routers[flight.router].ended(request, routed, cached);
        }
        self.close(number);
    }

    fn fail(&mut self, number: u32) {
        self.flights[number as usize].fate.failed = true;
        self.close(number);
    }

    fn close(&mut self, number: u32) {
        let told = self.now + self.net;
        self.flights[number as usize].fate.ended = Some(told);
        self.open -= 1;
        for follower in self.followers.remove(&number).unwrap_or_default() {
            // More traffic is more clients; none of them thinks faster.
            let pause = nanos(self.job(follower).at_secs);
            self.push(told + pause, What::Arrive(follower));
        }
    }
}

fn request<'b>(scene: Scene<'b>, nodes: &'b [Node], now: Nanos, number: u32) -> Request<'b> {
    let job = &scene.workload.jobs()[number as usize];
    Request {
        workload: scene.workload,
        ask: Ask {
            now,
            number,
            job,
            blocks: scene.workload.full_blocks(job),
            block_tokens: scene.workload.block_tokens,
            rows: scene.rows,
            truth: nodes,
        },
    }
}
