//! Model-server metrics: reads the few wanted families out of a Prometheus text page, in place.

use crate::{Engine, LoraState};

/// What one page of metrics says. `None` = the page does not mention it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// The engine whose names the page uses.
    pub engine: Engine,
    /// Requests waiting.
    pub waiting: Option<u32>,
    /// Requests in the running batch.
    pub running: Option<u32>,
    /// Share of KV space in use, 0..=1.
    pub kv_usage: Option<f32>,
    /// Tokens per KV block.
    pub block_size: Option<u32>,
    /// KV blocks.
    pub blocks: Option<u32>,
    /// The engine sleeps.
    pub sleeping: Option<bool>,
    /// LoRA adapters.
    pub lora: Option<LoraState>,
}

/// Why a page could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpositionError {
    /// No family of any engine we know.
    #[error(
        "no metrics of a known model server: expected names like vllm:num_requests_waiting or sglang:num_queue_reqs"
    )]
    UnknownEngine,
    /// A wanted sample that cannot be read.
    #[error("line {line}: {family}: {reason}")]
    BadSample {
        /// Line in the page, from 1.
        line: u32,
        /// The metric family.
        family: &'static str,
        /// What is wrong with it, and what would be right.
        reason: &'static str,
    },
}

/// Reads one page.
///
/// # Errors
/// [`ExpositionError::UnknownEngine`] when nothing on the page is known.
pub fn read(engine_hint: Option<Engine>, text: &[u8]) -> Result<Scrape, ExpositionError> {
    let _ = (engine_hint, text);
    Err(ExpositionError::UnknownEngine)
}
