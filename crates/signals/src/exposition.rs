//! Model-server metrics: reads the few wanted families out of a Prometheus text page, in place.
//!
//! A page of vLLM holds some five hundred lines, of which eight matter, and a gateway reads
//! thousands of pages a second. So lines are found by their line feeds, unwanted ones are dropped
//! after a glance at their name, and nothing is allocated except the names of LoRA adapters.

mod families;
mod sample;
mod spec;
mod tally;

pub use spec::{MetricSpec, MetricSpecError};
use tally::Tallies;

use crate::{Engine, LoraState};

/// What one page of metrics says. `None` = the page does not mention it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// The engine whose names the page uses.
    pub engine: Engine,
    /// Requests waiting, over all data-parallel ranks.
    pub waiting: Option<u32>,
    /// Requests in the running batch, over all data-parallel ranks.
    pub running: Option<u32>,
    /// Share of KV space in use on the fullest rank, 0..=1.
    pub kv_usage: Option<f32>,
    /// Tokens per KV block.
    pub block_size: Option<u32>,
    /// KV blocks, over all data-parallel ranks.
    pub blocks: Option<u32>,
    /// The engine has put its weights away.
    pub sleeping: Option<bool>,
    /// LoRA adapters.
    pub lora: Option<LoraState>,
    /// Wanted samples that could not be read. They are left out; the others still count.
    pub unreadable: u32,
}

/// Why a page could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpositionError {
    /// No family of any engine we know.
    #[error(
        "no metrics of a known model server on the page: expected names like \
         vllm:num_requests_waiting, sglang:num_queue_reqs or trtllm_num_requests_waiting"
    )]
    UnknownEngine,
}

/// Reads one page of any engine.
///
/// `engine_hint` decides when a page carries the names of several engines; a hint that the page
/// does not bear out is passed over. Data-parallel ranks are added up, and tensor- or
/// pipeline-parallel ranks of one server, which all report the same queue, count once.
///
/// # Errors
/// [`ExpositionError::UnknownEngine`] when nothing on the page is known.
pub fn read(engine_hint: Option<Engine>, text: &[u8]) -> Result<Scrape, ExpositionError> {
    let mut tallies = Tallies::default();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        read_line(&text[start..end], &mut tallies);
        start = end + 1;
    }
    read_line(&text[start..], &mut tallies);
    tallies
        .finish(engine_hint)
        .ok_or(ExpositionError::UnknownEngine)
}

fn read_line<'t>(line: &'t [u8], tallies: &mut Tallies<'t>) {
    let Some((engine, family, rest)) = families::find(line) else {
        return;
    };
    match sample::parse(rest) {
        Some(sample) => tallies.add(engine, family, &sample),
        None => tallies.note_unreadable(),
    }
}

#[cfg(test)]
mod tests;
