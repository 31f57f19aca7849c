//! Request traces: when requests came, how long they were, and what their prompts share.
//!
//! Four published formats are read, plain or gzipped, and told apart by their first line:
//!
//! | format | first line | prefixes |
//! |---|---|---|
//! | Mooncake JSONL | `{"timestamp": ms, "input_length", "output_length", "hash_ids"}` | 512-token blocks |
//! | Mooncake CSV | `timestamp_ms,input_length,output_length,hash_ids` | 512-token blocks |
//! | Azure 2023/2024 CSV | `TIMESTAMP,ContextTokens,GeneratedTokens` | none |
//! | ServeGen CSV | `timestamp_s,input_tokens,output_tokens[,...]` | none |
//!
//! Records of formats without prefixes get block ids of their own, so nothing is shared.

mod lines;
mod parse;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::error::LabError;
use crate::text::Span;

/// Tokens of one block id in the Mooncake traces.
pub const MOONCAKE_BLOCK_TOKENS: u32 = 512;

/// A trace longer than this is refused: it would not fit the memory of a test machine.
const MAX_RECORDS: usize = 10_000_000;

/// Timestamps that all lie on multiples of a step of at least this are treated as rounded.
const COARSE_MS: u64 = 500;

/// So far from a multiple: Mooncake's timestamps are a millisecond or three off theirs.
const ROUNDING_SLACK_MS: u64 = 10;

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it came, counted from the first request of the file.
    pub at: Duration,
    /// Length of the prompt.
    pub input_tokens: u32,
    /// Length of the answer.
    pub output_tokens: u32,
    /// Ids of the prompt's blocks; each names its block and everything before it. Empty when the
    /// format has none.
    pub blocks: Box<[u64]>,
}

/// Which format a file turned out to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    MooncakeJsonl,
    /// The same with runs of consecutive ids written `a-b`.
    MooncakeCsv,
    /// Azure Public Dataset, LLM inference 2023 and 2024.
    AzureCsv,
    /// Output of Alibaba's ServeGen.
    ServegenCsv,
}

/// A trace in memory, ordered by time.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The requests.
    pub records: Vec<Record>,
    /// Tokens each block id stands for.
    pub block_tokens: u32,
    /// What the file looked like.
    pub format: Format,
}

impl Trace {
    /// Reads a trace file. Gzip is recognised by its magic bytes, not by the name.
    ///
    /// # Errors
    /// [`LabError::Read`] when the file cannot be read, [`LabError::Trace`] with the line number
    /// when a line does not fit the format.
    pub fn load(path: &Path, block_tokens: u32) -> Result<Self, LabError> {
        let failed = |source| LabError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let gzipped = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let name = path.display().to_string();
        if gzipped {
            Self::parse(
                BufReader::new(MultiGzDecoder::new(file)),
                &name,
                block_tokens,
            )
        } else {
            Self::parse(file, &name, block_tokens)
        }
    }

    /// Reads a trace from text. `name` stands in error messages.
    ///
    /// # Errors
    /// As [`Trace::load`].
    pub fn parse(input: impl BufRead, name: &str, block_tokens: u32) -> Result<Self, LabError> {
        if block_tokens == 0 {
            return Err(LabError::Plan(
                "the block size must be at least 1 token".to_owned(),
            ));
        }
        let mut lines = lines::Lines::new(input, name);
        let (format, mut records) = parse::records(&mut lines, block_tokens)?;
        records.sort_by_key(|record| record.at);
        let first = records.first().map_or(Duration::ZERO, |record| record.at);
        for record in &mut records {
            record.at = record.at.saturating_sub(first);
        }
        Ok(Self {
            records,
            block_tokens,
            format,
        })
    }

    /// Keeps `count` records after leaving out the first `skip`; time starts again at zero.
    #[must_use]
    pub fn window(mut self, skip: usize, count: Option<usize>) -> Self {
        self.records.drain(..skip.min(self.records.len()));
        self.records.truncate(count.unwrap_or(usize::MAX));
        let first = self
            .records
            .first()
            .map_or(Duration::ZERO, |record| record.at);
        for record in &mut self.records {
            record.at -= first;
        }
        self
    }

    /// The step of the timestamps when they were rounded to one: 3 s in Mooncake's conversation
    /// trace. `None` when they are finer than half a second, or too few to tell.
    #[must_use]
    pub fn quantum(&self) -> Option<Duration> {
        let step = self
            .records
            .windows(2)
            .map(|pair| millis(pair[1].at - pair[0].at))
            .filter(|&gap| gap > ROUNDING_SLACK_MS)
            .min()
            // The slack of two timestamps is in every gap.
            .map(|gap| (gap + 50) / 100 * 100)
            .filter(|&gap| gap >= COARSE_MS)?;
        let on_step = |at: Duration| {
            let past = millis(at) % step;
            past.min(step - past) <= ROUNDING_SLACK_MS
                && at.subsec_nanos().is_multiple_of(1_000_000)
        };
        let last = self.records.last().map_or(0, |record| millis(record.at));
        let told = last >= 2 * step && self.records.iter().all(|record| on_step(record.at));
        told.then(|| Duration::from_millis(step))
    }

    /// Spreads requests that share a rounded timestamp uniformly over the rounding step, keeping
    /// their order. Without it such a trace is a row of bursts that never happened. Returns the
    /// step, or `None` when there was nothing to spread.
    pub fn spread(&mut self, seed: u64) -> Option<Duration> {
        let step = self.quantum()?;
        let number = |at: Duration| (at.as_secs_f64() / step.as_secs_f64()).round();
        let mut rng = StdRng::seed_from_u64(seed);
        for burst in self
            .records
            .chunk_by_mut(|a, b| number(a.at) == number(b.at))
        {
            let mut shifts: Vec<f64> = burst.iter().map(|_| rng.random::<f64>()).collect();
            shifts.sort_by(f64::total_cmp);
            for (record, shift) in burst.iter_mut().zip(shifts) {
                record.at = step.mul_f64(number(record.at) + shift);
            }
        }
        Some(step)
    }

    /// The text spans of record `index`: one per block, the last as long as the prompt needs.
    ///
    /// A prompt longer than its block ids, or without any, ends in text of its own.
    #[must_use]
    pub fn spans(&self, index: usize) -> Vec<Span> {
        let Some(record) = self.records.get(index) else {
            return Vec::new();
        };
        let mut left = record.input_tokens;
        let mut spans = Vec::with_capacity(record.blocks.len() + 1);
        for &id in &record.blocks {
            let tokens = left.min(self.block_tokens);
            if tokens == 0 {
                break;
            }
            spans.push(Span { id, tokens });
            left -= tokens;
        }
        if left > 0 {
            // The upper half of the id space is ours: no published trace comes near it.
            let own = 1 << 63 | index as u64;
            spans.push(Span {
                id: own,
                tokens: left,
            });
        }
        spans
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
