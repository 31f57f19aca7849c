//! How long one engine step takes: constants calibrated from published kernel measurements.
//!
//! The rows live in `data/step_times.json`, which names their source and licence. A step that
//! computes `M` tokens takes
//! `host + linear(M) + pair·Σ q·(ctx + q/2) + (base + per_seq·B + per_ctx·Σ ctx) + lm_head(rows)`,
//! where the sum over `q` runs over prefill chunks and `B` counts the decoding requests.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;
use thiserror::Error;

/// The rows as shipped. `perf::tests` holds that they parse, so the map is never empty.
static ROWS: LazyLock<BTreeMap<String, PerfRow>> = LazyLock::new(|| {
    serde_json::from_str::<RowFile>(include_str!("../data/step_times.json"))
        .map(|file| file.rows)
        .unwrap_or_default()
});

/// Largest token count that the measured table, not the linear fit, answers for.
const TABLE_TOKENS_MAX: u32 = 512;

#[derive(Deserialize)]
struct RowFile {
    rows: BTreeMap<String, PerfRow>,
}

/// What is wrong with a profile file.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// It is not JSON of the right shape.
    #[error("not a profile of step times: {0}")]
    Shape(#[from] serde_json::Error),
    /// A row cannot be used.
    #[error("row `{name}`: {what}")]
    Row {
        /// Name of the row.
        name: String,
        /// What would be right.
        what: &'static str,
    },
}

/// Step-time constants of one GPU, model, tensor-parallel size and data type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PerfRow {
    /// Token counts at which [`linear_ms`](Self::linear_ms) was measured, ascending.
    pub linear_ms_tokens: Vec<u32>,
    /// Time of all matrix multiplications and collectives for that many tokens, milliseconds.
    pub linear_ms: Vec<f64>,
    /// The straight line that answers above 512 tokens.
    pub linear_fit: LinearFit,
    /// Prefill attention, milliseconds per (query token, key token) pair.
    pub attn_prefill_ms_per_pair: f64,
    /// Decode attention.
    pub attn_decode_ms: DecodeAttention,
    /// Output projection by the number of sampled rows.
    pub lm_head_ms: LmHead,
    /// Time the host adds to each step, milliseconds (an assumption of the source).
    pub host_ms: f64,
    /// KV-cache bytes that one token takes over all ranks.
    pub kv_bytes_per_token: u64,
    /// KV-cache capacity at 90 % memory use, tokens.
    pub kv_capacity_tokens: u64,
}

/// `a + b·tokens`, with the smallest value ever measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LinearFit {
    /// Intercept, milliseconds.
    pub a_ms: f64,
    /// Slope, milliseconds per token.
    pub b_ms_per_tok: f64,
    /// Smallest measured time, milliseconds.
    pub floor_ms: f64,
}

/// Decode attention of a batch: `base + per_seq·B + per_ctx_token·Σ ctx`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DecodeAttention {
    /// Cost of having any decode in the batch, milliseconds.
    pub base: f64,
    /// Cost of each decoding request, milliseconds.
    pub per_seq: f64,
    /// Cost of each context token read, milliseconds.
    pub per_ctx_token: f64,
}

/// Output projection at three batch sizes; between them it is interpolated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LmHead {
    /// One row, milliseconds.
    pub b1: f64,
    /// 64 rows, milliseconds.
    pub b64: f64,
    /// 256 rows and more, milliseconds.
    pub b256: f64,
}

/// What one step computes, as far as its time depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepWork {
    /// Tokens computed, prefill and decode together.
    pub tokens: u32,
    /// `Σ q·(ctx + q/2)` over the prefill chunks: attention pairs.
    pub prefill_pairs: f64,
    /// Requests that decode one token.
    pub decodes: u32,
    /// Context tokens that those requests attend to, together.
    pub decode_context: u64,
    /// Rows that reach the output projection: scheduled requests.
    pub rows: u32,
}

impl StepWork {
    /// Adds a prefill chunk of `chunk` tokens that follows `context` computed ones.
    pub fn add_prefill(&mut self, context: u32, chunk: u32) {
        self.tokens += chunk;
        self.prefill_pairs += f64::from(chunk) * (f64::from(context) + f64::from(chunk) / 2.0);
        self.rows += 1;
    }

    /// Adds a request that decodes one token over `context` tokens.
    pub fn add_decode(&mut self, context: u32) {
        self.tokens += 1;
        self.decodes += 1;
        self.decode_context += u64::from(context);
        self.rows += 1;
    }
}

impl PerfRow {
    /// The shipped row of that name, for instance `h100_sxm/llama-3.1-8b/tp1/bfloat16`.
    pub fn named(name: &str) -> Option<&'static PerfRow> {
        ROWS.get(name)
    }

    /// Names of the shipped rows, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ROWS.keys().map(String::as_str)
    }

    /// Time of one step, milliseconds.
    pub fn step_ms(&self, work: &StepWork) -> f64 {
        let mut total = self.host_ms + self.linear(work.tokens) + self.lm_head(work.rows);
        total += self.attn_prefill_ms_per_pair * work.prefill_pairs;
        if work.decodes > 0 {
            let decode = &self.attn_decode_ms;
            total += decode.base
                + decode.per_seq * f64::from(work.decodes)
                + decode.per_ctx_token * work.decode_context as f64;
        }
        total
    }

    /// Reads a profile file: `{"rows": {name: row, ...}}`, or the rows alone, in the form of
    /// `data/step_times.json`.
    ///
    /// # Errors
    ///
    /// [`ProfileError`] when the text is not such a file or a row is not usable.
    pub fn read_profile(text: &str) -> Result<BTreeMap<String, PerfRow>, ProfileError> {
        let rows = serde_json::from_str::<RowFile>(text)
            .map(|file| file.rows)
            .or_else(|_| serde_json::from_str(text))?;
        for (name, row) in &rows {
            row.check(name)?;
        }
        Ok(rows)
    }

    fn check(&self, name: &str) -> Result<(), ProfileError> {
        let wrong = |what| {
            Err(ProfileError::Row {
                name: name.to_owned(),
                what,
            })
        };
        if self.linear_ms.len() != self.linear_ms_tokens.len() || self.linear_ms.is_empty() {
            return wrong("linear_ms and linear_ms_tokens must be equally long and not empty");
        }
        if !self.linear_ms_tokens.is_sorted() {
            return wrong("linear_ms_tokens must ascend");
        }
        let decode = &self.attn_decode_ms;
        let fit = &self.linear_fit;
        let times = [
            self.attn_prefill_ms_per_pair,
            decode.base,
            decode.per_seq,
            decode.per_ctx_token,
            fit.b_ms_per_tok,
            fit.floor_ms,
            self.host_ms,
        ];
        let times = times.iter().chain(&self.linear_ms);
        if !times.into_iter().all(|time| (0.0..1e6).contains(time)) {
            return wrong("each time must be a number of milliseconds from 0 to 1000000");
        }
        if self.kv_capacity_tokens == 0 || self.kv_bytes_per_token == 0 {
            return wrong("kv_capacity_tokens and kv_bytes_per_token must be at least 1");
        }
        Ok(())
    }

    fn linear(&self, tokens: u32) -> f64 {
        if tokens <= TABLE_TOKENS_MAX {
            return self.table(tokens);
        }
        let fit = self.linear_fit.a_ms + self.linear_fit.b_ms_per_tok * f64::from(tokens);
        fit.max(self.table(TABLE_TOKENS_MAX))
    }

    /// Linear interpolation in the measured table, flat outside it.
    fn table(&self, tokens: u32) -> f64 {
        let points = || self.linear_ms_tokens.iter().zip(&self.linear_ms);
        let above = points().find(|(at, _)| **at >= tokens);
        let below = points().take_while(|(at, _)| **at <= tokens).last();
        match (below, above) {
            (Some((low, low_ms)), Some((high, high_ms))) => {
                interpolate((*low, *low_ms), (*high, *high_ms), tokens)
            }
            (Some((_, only)), None) | (None, Some((_, only))) => *only,
            (None, None) => self.linear_fit.floor_ms,
        }
    }

    fn lm_head(&self, rows: u32) -> f64 {
        let head = &self.lm_head_ms;
        match rows {
            0 | 1 => head.b1,
            2..=64 => interpolate((1, head.b1), (64, head.b64), rows),
            65..=256 => interpolate((64, head.b64), (256, head.b256), rows),
            _ => head.b256,
        }
    }
}

/// Times of steps whose decoding batch stays the same while its context grows: the parts of
/// [`PerfRow::step_ms`] that do not change, worked out once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecodeRun {
    fixed_ms: f64,
    batch_ms: f64,
    per_context_token_ms: f64,
}

impl DecodeRun {
    /// The run that starts with `work`, which holds decodes only.
    pub(crate) fn new(row: &PerfRow, work: &StepWork) -> Self {
        let decode = &row.attn_decode_ms;
        Self {
            fixed_ms: row.host_ms + row.linear(work.tokens) + row.lm_head(work.rows),
            batch_ms: decode.base + decode.per_seq * f64::from(work.decodes),
            per_context_token_ms: decode.per_ctx_token,
        }
    }

    /// Time of the step over so many context tokens, milliseconds; to the bit what
    /// [`PerfRow::step_ms`] gives.
    pub(crate) fn step_ms(&self, context: u64) -> f64 {
        self.fixed_ms + (self.batch_ms + self.per_context_token_ms * context as f64)
    }
}

fn interpolate(low: (u32, f64), high: (u32, f64), at: u32) -> f64 {
    if high.0 == low.0 {
        return low.1;
    }
    let share = f64::from(at - low.0) / f64::from(high.0 - low.0);
    low.1 + share * (high.1 - low.1)
}

#[cfg(test)]
mod tests;
