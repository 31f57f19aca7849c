//! The simulated servers.

use std::collections::BTreeMap;
use std::fmt;

use simulator::{EngineConfig, PerfRow, TokenEvents};

use super::workload::nanos;
use crate::error::LabError;

/// Most servers in a fleet.
const SERVERS_MAX: usize = 1024;

/// Short names of step-time rows.
pub(crate) const CLASSES: &[(&str, &str)] = &[
    ("8b", "h100_sxm/llama-3.1-8b/tp1/bfloat16"),
    ("8b-fp8", "h100_sxm/llama-3.1-8b/tp1/fp8"),
    ("8b-a100", "a100_sxm/llama-3.1-8b/tp1/bfloat16"),
    ("8b-h200", "h200_sxm/llama-3.1-8b/tp1/bfloat16"),
    ("32b", "h100_sxm/qwen3-32b/tp2/bfloat16"),
    ("70b", "h100_sxm/llama-3.1-70b/tp8/bfloat16"),
    ("70b-tp4", "h100_sxm/llama-3.1-70b/tp4/bfloat16"),
    ("70b-fp8", "h100_sxm/llama-3.1-70b/tp4/fp8"),
    ("70b-a100", "a100_sxm/llama-3.1-70b/tp8/bfloat16"),
    ("70b-a100-tp4", "a100_sxm/llama-3.1-70b/tp4/bfloat16"),
    ("70b-h200", "h200_sxm/llama-3.1-70b/tp4/bfloat16"),
];

/// Servers by class, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    text: String,
    rows: Vec<PerfRow>,
}

impl Fleet {
    /// Reads `COUNTxCLASS[+COUNTxCLASS...]`, such as `16x70b` or `8x70b+8x70b-a100`. A class is a
    /// short name, a shipped row of step times, or a row of `profile`.
    ///
    /// # Errors
    /// [`LabError::Plan`] that says which part is wrong and what would be right.
    pub fn parse(text: &str, profile: &BTreeMap<String, PerfRow>) -> Result<Self, LabError> {
        let mut rows = Vec::new();
        for part in text.split('+') {
            let (count, class) = part.trim().split_once('x').ok_or_else(|| {
                LabError::Plan(format!(
                    "fleet: {part:?} is not COUNTxCLASS, such as 16x70b"
                ))
            })?;
            let count: usize = count.parse().map_err(|_| {
                LabError::Plan(format!(
                    "fleet: {count:?} in {part:?} is not a number of servers"
                ))
            })?;
            let row = row(class, profile)?;
            if count == 0 || rows.len() + count > SERVERS_MAX {
                return Err(LabError::Plan(format!(
                    "fleet: {part:?} gives {} servers; 1 to {SERVERS_MAX} are possible",
                    rows.len() + count
                )));
            }
            rows.extend(std::iter::repeat_n(row.clone(), count));
        }
        Ok(Self {
            text: text.to_owned(),
            rows,
        })
    }

    /// How many servers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none; there always are some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Step times of each server.
    pub(crate) fn rows(&self) -> &[PerfRow] {
        &self.rows
    }

    /// The settings of each server's engine.
    pub(crate) fn engines(&self, block_tokens: u32, cache_changes: bool) -> Vec<EngineConfig> {
        let config = |row: &PerfRow| {
            let mut config = EngineConfig::new(row.clone(), block_tokens);
            config.fast_forward = true;
            config.token_events = TokenEvents::First;
            config.cache_changes = cache_changes;
            // 100 ms from host memory, half a second from elsewhere.
            config.lora_load = nanos(0.1);
            config.lora_fetch = nanos(0.4);
            config.max_cpu_loras = 4 * config.max_loras;
            config
        };
        self.rows.iter().map(config).collect()
    }
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn row<'p>(class: &str, profile: &'p BTreeMap<String, PerfRow>) -> Result<&'p PerfRow, LabError>
where
    'static: 'p,
{
    let full = CLASSES.iter().find(|(short, _)| *short == class);
    let name = full.map_or(class, |(_, row)| row);
    if let Some(row) = profile.get(class).or_else(|| PerfRow::named(name)) {
        return Ok(row);
    }
    let mut known: Vec<&str> = CLASSES.iter().map(|(short, _)| *short).collect();
    known.extend(profile.keys().map(String::as_str));
    Err(LabError::Plan(format!(
        "fleet: no server class {class:?}; known are {} and the rows of step times by full name",
        known.join(", ")
    )))
}

/// Prompt tokens a second of one server that does nothing else, for policies that are told it.
pub(crate) fn peak_tokens_per_sec(row: &PerfRow) -> f64 {
    8192.0 / super::bounds::prefill_secs(row, 0, 8192)
}
