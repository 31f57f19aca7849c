//! One model server.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use signals::{Endpoint, EndpointIdentity, Engine, Reservation, Scrape, Time};

use super::Report;
use super::workload::Request;

/// Step-time constants, in seconds, and KV capacity in tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hardware {
    pub(crate) floor: f64,
    pub(crate) per_token: f64,
    pub(crate) per_pair: f64,
    pub(crate) per_decode: f64,
    pub(crate) per_decode_context: f64,
    pub(crate) kv_tokens: u64,
}

impl Hardware {
    /// Llama-3.1-8B on one H100, from published kernel measurements.
    pub(crate) const H100_8B: Hardware = Hardware {
        floor: 0.0063,
        per_token: 19.4e-6,
        per_pair: 7.9e-10,
        per_decode: 2e-5,
        per_decode_context: 2.43e-8,
        kv_tokens: 438_000,
    };
    /// The same, `factor` times slower.
    pub(crate) fn slower(self, factor: f64) -> Hardware {
        Hardware {
            floor: self.floor * factor,
            per_token: self.per_token * factor,
            per_pair: self.per_pair * factor,
            per_decode: self.per_decode * factor,
            per_decode_context: self.per_decode_context * factor,
            ..self
        }
    }
}

const STEP_TOKENS: u64 = 8192;
const BATCH_MAX: usize = 256;

pub(crate) struct Job {
    blocks: Arc<[u64]>,
    block_tokens: u64,
    prompt: u64,
    output: u64,
    arrived: f64,
    started: f64,
    cached: u64,
    computed: u64,
    produced: u64,
    reservation: Reservation,
}

impl Job {
    pub(crate) fn new(request: &Request, reservation: Reservation) -> Self {
        Self {
            blocks: Arc::clone(&request.blocks),
            block_tokens: u64::from(request.block_tokens),
            prompt: request.prompt_tokens,
            output: request.output_tokens.max(1),
            arrived: request.at,
            started: 0.0,
            cached: 0,
            computed: 0,
            produced: 0,
            reservation,
        }
    }

    fn full_blocks(&self) -> usize {
        (self.prompt / self.block_tokens) as usize
    }

    /// Tokens outside of full prompt blocks that it will hold at most.
    fn private(&self) -> u64 {
        self.prompt % self.block_tokens + self.output
    }
}

/// Blocks by hash: how many running requests use each and when it was last used; those not in use
/// are in `idle`, by age.
#[derive(Default)]
struct Cache {
    blocks: HashMap<u64, (u32, u64)>,
    idle: BTreeMap<u64, u64>,
    clock: u64,
}

impl Cache {
    fn matched(&self, blocks: &[u64]) -> usize {
        blocks
            .iter()
            .take_while(|block| self.blocks.contains_key(block))
            .count()
    }

    fn take(&mut self, blocks: &[u64]) {
        for &block in blocks {
            let entry = self.blocks.entry(block).or_insert((0, 0));
            if entry.0 == 0 {
                self.idle.remove(&entry.1);
            }
            entry.0 += 1;
        }
    }

    /// Gives blocks back, the last first so that it is the oldest.
    fn give(&mut self, blocks: &[u64]) {
        for block in blocks.iter().rev() {
            let Some(entry) = self.blocks.get_mut(block) else {
                continue;
            };
            entry.0 -= 1;
            if entry.0 == 0 {
                self.clock += 1;
                entry.1 = self.clock;
                self.idle.insert(self.clock, *block);
            }
        }
    }

    fn used(&self) -> usize {
        self.blocks.len() - self.idle.len()
    }

    fn evict_to(&mut self, blocks_max: usize) {
        while self.blocks.len() > blocks_max {
            let Some((_, block)) = self.idle.pop_first() else {
                return;
            };
            self.blocks.remove(&block);
        }
    }
}

pub(crate) struct Server {
    pub(crate) endpoint: Arc<Endpoint>,
    hardware: Hardware,
    waiting: VecDeque<Job>,
    running: Vec<Job>,
    /// Tokens each running job computes in the step under way.
    chunks: Vec<u64>,
    cache: Cache,
    block_tokens: u64,
    step_end: f64,
    gauges: Scrape,
}

impl Server {
    pub(crate) fn new(id: u32, hardware: Hardware) -> Self {
        let identity = EndpointIdentity {
            name: format!("server-{id}").into(),
            address: ([10, 0, 0, id as u8], 8000).into(),
            host: "server".into(),
            https: false,
            labels: Arc::default(),
            rank: 0,
        };
        Self {
            endpoint: Arc::new(Endpoint::new(id, identity)),
            hardware,
            waiting: VecDeque::new(),
            running: Vec::new(),
            chunks: Vec::new(),
            cache: Cache::default(),
            block_tokens: 16,
            step_end: f64::INFINITY,
            gauges: Scrape {
                engine: Engine::Vllm,
                ..Scrape::default()
            },
        }
    }

    pub(crate) fn step_end(&self) -> f64 {
        self.step_end
    }

    pub(crate) fn scrape(&self, now: f64) {
        let mut scrape = self.gauges.clone();
        scrape.block_size = Some(16);
        scrape.blocks = Some((self.hardware.kv_tokens / 16) as u32);
        scrape.waiting.get_or_insert(0);
        scrape.running.get_or_insert(0);
        scrape.kv_usage.get_or_insert(0.0);
        self.endpoint
            .signals()
            .apply(&scrape, Time::from_secs_f64(now + 1.0));
    }

    pub(crate) fn submit(&mut self, job: Job, now: f64) {
        self.block_tokens = job.block_tokens;
        self.waiting.push_back(job);
        if self.step_end.is_infinite() {
            self.begin_step(now);
        }
    }

    fn kv_used(&self) -> u64 {
        let private: u64 = self.running.iter().map(Job::private).sum();
        self.cache.used() as u64 * self.block_tokens + private
    }

    fn admit(&mut self) {
        while let Some(job) = self.waiting.front() {
            let blocks = &job.blocks[..job.full_blocks()];
            let matched = self.cache.matched(blocks);
            let new = (blocks.len() - matched) as u64 * job.block_tokens + job.private();
            let fits = self.kv_used() + new <= self.hardware.kv_tokens || self.running.is_empty();
            if !fits || self.running.len() >= BATCH_MAX {
                return;
            }
            let Some(mut job) = self.waiting.pop_front() else {
                return;
            };
            job.computed = (matched as u64 * job.block_tokens).min(job.prompt - 1);
            job.cached = job.computed;
            // Held from now on, found by others once computed; a little early, as that is rare.
            self.cache.take(&job.blocks[..job.full_blocks()]);
            let private: u64 = self.running.iter().map(Job::private).sum::<u64>() + job.private();
            let room = self.hardware.kv_tokens.saturating_sub(private) / job.block_tokens;
            self.cache.evict_to(room as usize);
            self.running.push(job);
            if self
                .running
                .iter()
                .map(|job| job.prompt - job.computed)
                .sum::<u64>()
                > STEP_TOKENS
            {
                return;
            }
        }
    }

    fn begin_step(&mut self, now: f64) {
        self.admit();
        self.chunks.clear();
        if self.running.is_empty() {
            self.step_end = f64::INFINITY;
            return;
        }
        let decoding = self.running.iter().filter(|job| job.computed >= job.prompt);
        let mut budget = STEP_TOKENS - decoding.count() as u64;
        let (mut tokens, mut pairs, mut decodes, mut context) = (0, 0.0, 0, 0);
        for job in &self.running {
            let chunk = if job.computed >= job.prompt {
                decodes += 1;
                context += job.prompt + job.produced;
                1
            } else {
                let chunk = (job.prompt - job.computed).min(budget);
                budget -= chunk;
                pairs += chunk as f64 * (job.computed as f64 + chunk as f64 / 2.0);
                chunk
            };
            tokens += chunk;
            self.chunks.push(chunk);
        }
        let hardware = &self.hardware;
        let duration = hardware.floor.max(hardware.per_token * tokens as f64)
            + hardware.per_pair * pairs
            + hardware.per_decode * f64::from(decodes)
            + hardware.per_decode_context * context as f64;
        self.step_end = now + duration;
    }

    pub(crate) fn end_step(&mut self, now: f64, report: &mut Report) {
        let time = Time::from_secs_f64(now + 1.0);
        for (job, &chunk) in self.running.iter_mut().zip(&self.chunks) {
            if job.computed >= job.prompt {
                job.produced += 1;
                continue;
            }
            job.computed += chunk;
            if job.computed >= job.prompt {
                job.produced = 1;
                job.started = now;
                job.reservation.first_token(time);
            }
        }
        let (done, going) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|job| job.produced >= job.output);
        self.running = going;
        for job in done {
            self.finish(&job, now, report);
        }
        self.begin_step(now);
        self.gauges.waiting = Some(self.waiting.len() as u32);
        self.gauges.running = Some(self.running.len() as u32);
        self.gauges.kv_usage =
            Some((self.kv_used() as f64 / self.hardware.kv_tokens as f64).min(1.0) as f32);
    }

    fn finish(&mut self, job: &Job, now: f64, report: &mut Report) {
        self.cache.give(&job.blocks[..job.full_blocks()]);
        report.ttft.push(job.started - job.arrived);
        report.e2e.push(now - job.arrived);
        if job.output > 1 {
            report
                .tpot
                .push((now - job.started) / (job.output - 1) as f64);
        }
        report.prompt_tokens += job.prompt;
        report.cached_tokens += job.cached;
    }
}
