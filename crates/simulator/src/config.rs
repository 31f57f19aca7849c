//! Settings of one simulated server, their defaults and their bounds.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{engine::EngineConfig, perf::PerfRow};

/// Most sequences, waiting requests and adapters that a server may be configured to hold.
const COUNT_MAX: u32 = 1_000_000;
/// Longest fixed latency that [`Faults`] may add, milliseconds.
const EXTRA_LATENCY_MAX_MS: f64 = 600_000.0;
/// Nanoseconds in a millisecond.
const NANOS_PER_MS: f64 = 1e6;

/// Everything that shapes one simulated server. [`SimConfig::default`] is a single H100 that
/// serves Llama 3.1 8B with vLLM's usual settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// Name of the server, sent as `x-inference-pod`. Default `sim-0`.
    pub name: String,
    /// The base model. Default `meta-llama/Llama-3.1-8B-Instruct`.
    pub model: String,
    /// Further names under which the base model answers. Default none.
    pub aliases: Vec<String>,
    /// LoRA adapters registered at the start; they are loaded when first asked for. Default none.
    pub adapters: Vec<String>,
    /// Most adapters registered at once, those of the load endpoint included. Default 1024.
    pub adapters_max: u32,
    /// Adapters that fit on the GPU at once. Default 4.
    pub max_loras: u32,
    /// Time to bring an adapter onto the GPU, milliseconds of simulated time. Default 100.
    pub lora_load_ms: f64,
    /// Share by which each distinct adapter in a batch lengthens the step. Default 0.02 (rank 8).
    pub lora_step_overhead: f64,
    /// Row of step times, see [`PerfRow::names`]. Default `h100_sxm/llama-3.1-8b/tp1/bfloat16`.
    pub perf: String,
    /// Tokens in a KV block. Default 16.
    pub block_size: u32,
    /// KV blocks. Default none: what the memory of the row's GPUs holds.
    pub kv_blocks: Option<u32>,
    /// Most requests running at once. Default 256.
    pub max_num_seqs: u32,
    /// Most tokens computed in one step; at least `max_num_seqs`. Default 8192.
    pub max_num_batched_tokens: u32,
    /// Requests that may wait; the next one is answered 429. Default 1000.
    pub max_waiting: u32,
    /// Longest prompt plus output, tokens. Default 131072.
    pub max_model_len: u32,
    /// Whether computed blocks are kept and found again. Default true.
    pub prefix_caching: bool,
    /// Whether OpenAI usage tells `cached_tokens` (in vLLM: `--enable-prompt-tokens-details`).
    /// Default true.
    pub prompt_tokens_details: bool,
    /// Mean length of an output that the model ends itself, tokens. Default 128.
    pub output_tokens_mean: f64,
    /// Spread of that length: the sigma of a lognormal distribution; 0 makes it constant.
    /// Default 0.6.
    pub output_tokens_sigma: f64,
    /// How many times faster than the wall clock simulated time passes. Default 1.
    pub time_scale: f64,
    /// Seed of every random choice. Default 0.
    pub seed: u64,
    /// Largest request body, bytes; above it 413. Default 128 MiB.
    pub max_body_bytes: usize,
    /// Faults at the start; `POST /admin/config` changes them later. Default none.
    pub faults: Faults,
}

/// Faults to inject. All of them can be changed while the server runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of inference requests answered with [`error_status`](Self::error_status), 0 to 1.
    pub error_rate: f64,
    /// Status of those answers, 400 to 599. Default 500.
    pub error_status: u16,
    /// Answer 503 to inference requests and to `/health`. Default false.
    pub unavailable: bool,
    /// Crash, that is drop the listener and every connection at once, when this many further
    /// inference requests have arrived. Default none.
    pub crash_after: Option<u64>,
    /// Drop the connection of a streamed answer after this many tokens. Default none.
    pub cut_stream_after: Option<u32>,
    /// Factor on every step time, 0.01 to 1000. Default 1.
    pub slow_factor: f64,
    /// Fixed latency ahead of every inference request, milliseconds of real time, at most ten
    /// minutes. Default 0.
    pub extra_latency_ms: f64,
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} is {value}: {expected}")]
pub struct ConfigError {
    /// The field of [`SimConfig`], `faults.` before those of [`Faults`].
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub expected: String,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            name: "sim-0".to_owned(),
            model: "meta-llama/Llama-3.1-8B-Instruct".to_owned(),
            aliases: Vec::new(),
            adapters: Vec::new(),
            adapters_max: 1024,
            max_loras: 4,
            lora_load_ms: 100.0,
            lora_step_overhead: 0.02,
            perf: "h100_sxm/llama-3.1-8b/tp1/bfloat16".to_owned(),
            block_size: 16,
            kv_blocks: None,
            max_num_seqs: 256,
            max_num_batched_tokens: 8192,
            max_waiting: 1000,
            max_model_len: 131_072,
            prefix_caching: true,
            prompt_tokens_details: true,
            output_tokens_mean: 128.0,
            output_tokens_sigma: 0.6,
            time_scale: 1.0,
            seed: 0,
            max_body_bytes: 128 << 20,
            faults: Faults::default(),
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            error_status: 500,
            unavailable: false,
            crash_after: None,
            cut_stream_after: None,
            slow_factor: 1.0,
            extra_latency_ms: 0.0,
        }
    }
}

impl SimConfig {
    /// Checks every bound.
    ///
    /// # Errors
    ///
    /// Returns the first field that is out of its bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.row()?;
        count("adapters_max", self.adapters_max)?;
        count("max_loras", self.max_loras)?;
        count("max_num_seqs", self.max_num_seqs)?;
        count("max_waiting", self.max_waiting)?;
        within("lora_load_ms", self.lora_load_ms, 0.0, 3_600_000.0)?;
        within("lora_step_overhead", self.lora_step_overhead, 0.0, 10.0)?;
        within("block_size", f64::from(self.block_size), 1.0, 65_536.0)?;
        within(
            "max_model_len",
            f64::from(self.max_model_len),
            2.0,
            f64::from(1 << 28),
        )?;
        within(
            "output_tokens_mean",
            self.output_tokens_mean,
            1.0,
            f64::from(1 << 28),
        )?;
        within("output_tokens_sigma", self.output_tokens_sigma, 0.0, 4.0)?;
        within("time_scale", self.time_scale, 0.001, 100_000.0)?;
        if let Some(blocks) = self.kv_blocks {
            within("kv_blocks", f64::from(blocks), 1.0, f64::from(1 << 28))?;
        }
        let budget = f64::from(self.max_num_batched_tokens);
        within(
            "max_num_batched_tokens",
            budget,
            f64::from(self.max_num_seqs),
            f64::from(1 << 28),
        )?;
        if self.adapters.len() > self.adapters_max as usize {
            return Err(ConfigError {
                field: "adapters",
                value: format!("a list of {}", self.adapters.len()),
                expected: format!("adapters_max allows {}", self.adapters_max),
            });
        }
        self.faults.validate()
    }

    /// The settings of the engine.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate).
    pub fn engine(&self) -> Result<EngineConfig, ConfigError> {
        self.validate()?;
        let row = self.row()?;
        let capacity = row.kv_capacity_tokens / u64::from(self.block_size);
        let mut config = EngineConfig::new(row.clone(), self.block_size);
        config.kv_blocks = self
            .kv_blocks
            .unwrap_or_else(|| u32::try_from(capacity.max(1)).unwrap_or(u32::MAX));
        config.max_num_seqs = self.max_num_seqs;
        config.max_num_batched_tokens = self.max_num_batched_tokens;
        config.max_waiting = self.max_waiting;
        config.max_model_len = self.max_model_len;
        config.max_loras = self.max_loras;
        config.lora_load = (self.lora_load_ms * NANOS_PER_MS) as u64;
        config.lora_step_overhead = self.lora_step_overhead;
        config.prefix_caching = self.prefix_caching;
        config.slow_factor = self.faults.slow_factor;
        Ok(config)
    }

    fn row(&self) -> Result<&'static PerfRow, ConfigError> {
        PerfRow::named(&self.perf).ok_or_else(|| ConfigError {
            field: "perf",
            value: format!("`{}`", self.perf),
            expected: format!("one of {}", PerfRow::names().collect::<Vec<_>>().join(", ")),
        })
    }
}

impl Faults {
    /// Checks every bound.
    ///
    /// # Errors
    ///
    /// Returns the first field that is out of its bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        within("faults.error_rate", self.error_rate, 0.0, 1.0)?;
        within(
            "faults.error_status",
            f64::from(self.error_status),
            400.0,
            599.0,
        )?;
        within("faults.slow_factor", self.slow_factor, 0.01, 1000.0)?;
        within(
            "faults.extra_latency_ms",
            self.extra_latency_ms,
            0.0,
            EXTRA_LATENCY_MAX_MS,
        )
    }
}

fn count(field: &'static str, value: u32) -> Result<(), ConfigError> {
    within(field, f64::from(value), 1.0, f64::from(COUNT_MAX))
}

fn within(field: &'static str, value: f64, low: f64, high: f64) -> Result<(), ConfigError> {
    // A NaN is within nothing.
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let expected = format!("it must be {low} to {high}");
    Err(ConfigError {
        field,
        value: value.to_string(),
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_serde() {
        let config = SimConfig::default();
        config.validate().expect("valid");
        let text = serde_json::to_string(&config).expect("serialises");
        assert_eq!(
            serde_json::from_str::<SimConfig>(&text).expect("parses"),
            config
        );
        assert_eq!(
            serde_json::from_str::<SimConfig>("{}").expect("parses"),
            config
        );
        assert_eq!(config.engine().expect("valid").kv_blocks, 438_308 / 16);
    }

    #[test]
    fn each_bound_is_told_by_its_field() {
        type Spoil = fn(&mut SimConfig);
        let table: [(&str, Spoil); 6] = [
            ("perf", |c| c.perf = "tpu".to_owned()),
            ("block_size", |c| c.block_size = 0),
            ("time_scale", |c| c.time_scale = f64::NAN),
            ("max_num_batched_tokens", |c| c.max_num_batched_tokens = 8),
            ("adapters", |c| {
                (c.adapters_max, c.adapters) = (1, vec![String::new(); 2])
            }),
            ("faults.error_rate", |c| c.faults.error_rate = 1.5),
        ];
        for (field, spoil) in table {
            let mut config = SimConfig::default();
            spoil(&mut config);
            assert_eq!(config.validate().expect_err(field).field, field);
        }
    }
}
