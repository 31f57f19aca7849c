//! What the fleet is asked to do: requests with their times, lengths and shared blocks.

use simulator::Nanos;

use crate::error::LabError;
use crate::text::mix;
use crate::trace::{Record, Trace};

/// Nanoseconds in a second.
pub(crate) const SECOND: f64 = 1e9;

/// Seeds shift each arrival by up to this much of trace time, so that repetitions differ. Rounded
/// timestamps are spread over their step instead.
const JITTER_SECS: f64 = 1.0;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// When it comes, seconds from the start; with [`after`](Self::after), seconds from the end of
    /// that request, whatever the load.
    pub at_secs: f64,
    /// The request that must have ended before.
    pub after: Option<u32>,
    /// Prompt, tokens; at least 1.
    pub input_tokens: u32,
    /// Answer, tokens; at least 1.
    pub output_tokens: u32,
    /// Adapter, by number.
    pub adapter: Option<u32>,
    /// Whose request it is: requests of one client go through one router.
    pub client: u32,
    /// Start in [`Workload::hashes`].
    first_block: u32,
    /// Number of blocks, a partial last one included.
    block_count: u32,
}

/// Requests in order of time.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name for titles.
    pub name: String,
    /// Tokens in a block.
    pub block_tokens: u32,
    /// How many adapters there are.
    pub adapters: u32,
    jobs: Vec<Job>,
    hashes: Vec<u64>,
}

impl Workload {
    /// No requests yet.
    pub(crate) fn new(name: &str, block_tokens: u32) -> Self {
        Self {
            name: name.to_owned(),
            block_tokens,
            adapters: 0,
            jobs: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// The requests of a trace. Blocks of the trace are divided into blocks of `block_tokens`.
    ///
    /// # Errors
    /// [`LabError::Plan`] when the block size does not divide that of the trace.
    pub fn from_trace(
        name: &str,
        trace: &Trace,
        block_tokens: u32,
        seed: u64,
    ) -> Result<Self, LabError> {
        let theirs = trace.block_tokens;
        let has_blocks = trace.records.iter().any(|record| !record.blocks.is_empty());
        if block_tokens == 0 || (has_blocks && !theirs.is_multiple_of(block_tokens)) {
            return Err(LabError::Plan(format!(
                "a block size of {block_tokens} tokens does not divide the trace's {theirs}; give \
                 --block-tokens a divisor"
            )));
        }
        let mut trace = trace.clone();
        let spread = trace.spread(seed).is_some();
        let mut workload = Self::new(name, block_tokens);
        for (index, record) in trace.records.iter().enumerate() {
            let number = index as u64;
            let jitter = if spread {
                0.0
            } else {
                JITTER_SECS * share(mix(seed) ^ number)
            };
            let job = Job::new(
                record.at.as_secs_f64() + jitter,
                record.input_tokens,
                record.output_tokens,
            );
            workload.push(job, blocks_of(record, number, theirs, block_tokens));
        }
        workload.sort();
        Ok(workload)
    }

    /// Adds a request with the hashes of all of its blocks.
    pub(crate) fn push(&mut self, mut job: Job, blocks: impl Iterator<Item = u64>) {
        let count = job.input_tokens.div_ceil(self.block_tokens);
        job.first_block = self.hashes.len() as u32;
        job.block_count = count;
        self.hashes.extend(blocks.take(count as usize));
        debug_assert_eq!(self.hashes.len() as u32, job.first_block + count);
        self.jobs.push(job);
    }

    /// Puts the requests in order of time. Those that come after another keep their places
    /// relative to it.
    pub(crate) fn sort(&mut self) {
        if self.jobs.iter().all(|job| job.after.is_none()) {
            self.jobs.sort_by(|a, b| a.at_secs.total_cmp(&b.at_secs));
        }
    }

    /// Keeps the first `count` requests.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.jobs.truncate(count);
    }

    /// The requests.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub(crate) fn jobs_mut(&mut self) -> &mut [Job] {
        &mut self.jobs
    }

    /// Hashes of a request's blocks, a partial last one included.
    #[must_use]
    pub fn blocks(&self, job: &Job) -> &[u64] {
        let first = job.first_block as usize;
        self.hashes
            .get(first..first + job.block_count as usize)
            .unwrap_or_default()
    }

    /// Hashes of the blocks that are full.
    #[must_use]
    pub fn full_blocks(&self, job: &Job) -> &[u64] {
        let full = (job.input_tokens / self.block_tokens) as usize;
        let blocks = self.blocks(job);
        &blocks[..full.min(blocks.len())]
    }

    /// From the first to the last arrival that is known beforehand.
    #[must_use]
    pub fn span_secs(&self) -> f64 {
        let known = self.jobs.iter().filter(|job| job.after.is_none());
        known.map(|job| job.at_secs).fold(0.0, f64::max)
    }

    /// Mean prompt and answer, tokens.
    #[must_use]
    pub fn mean_tokens(&self) -> (f64, f64) {
        let count = self.jobs.len().max(1) as f64;
        let sum = |of: fn(&Job) -> u32| self.jobs.iter().map(|job| f64::from(of(job))).sum::<f64>();
        (
            sum(|job| job.input_tokens) / count,
            sum(|job| job.output_tokens) / count,
        )
    }

    /// Share of prompt tokens that a cache without bounds would have, if every request found what
    /// those before it brought.
    #[must_use]
    pub fn reuse(&self) -> f64 {
        let (mut found, mut all) = (0_u64, 0_u64);
        super::bounds::with_infinite_cache(self, |job, cached| {
            found += u64::from(cached);
            all += u64::from(job.input_tokens);
        });
        found as f64 / all.max(1) as f64
    }
}

impl Job {
    /// A request of its own client, without adapter.
    pub(crate) fn new(at_secs: f64, input_tokens: u32, output_tokens: u32) -> Self {
        Self {
            at_secs,
            after: None,
            // A server cannot do with less, and a trace may hold failed requests.
            input_tokens: input_tokens.max(1),
            output_tokens: output_tokens.max(1),
            adapter: None,
            client: 0,
            first_block: 0,
            block_count: 0,
        }
    }
}

/// Engine blocks of a trace record. A block id of the trace names its tokens and all before them;
/// what no id covers is new.
fn blocks_of(
    record: &Record,
    number: u64,
    theirs: u32,
    ours: u32,
) -> impl Iterator<Item = u64> + '_ {
    let parts = u64::from(theirs.div_ceil(ours).max(1));
    let named = record
        .blocks
        .iter()
        .flat_map(move |id| (0..parts).map(move |part| mix(id.wrapping_mul(parts) + part + 1)));
    // The upper half of the ids is ours: no published trace comes near it.
    let own = (0_u64..).map(move |part| mix(1 << 63 | number << 24 | part));
    named.chain(own)
}

/// A number in 0..1 that follows from the key.
pub(crate) fn share(key: u64) -> f64 {
    (mix(key) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Seconds as simulated time.
pub(crate) fn nanos(secs: f64) -> Nanos {
    (secs * SECOND) as Nanos
}
