//! The metric families that matter, engine by engine.
//!
//! Names follow the model-server protocol of the Gateway API Inference Extension (proposal 003)
//! and the engines' own collectors. Relays and some SGLang builds turn the `:` after the prefix
//! into `_`; both are read.

use crate::Engine;

/// What a family tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Waiting,
    Running,
    KvUsage,
    /// KV usage under a name that gives way to [`Meaning::KvUsage`].
    KvUsageLegacy,
    BlockSize,
    Blocks,
    /// Labels that hold the block size and the number of blocks.
    CacheInfo {
        block_size: &'static [u8],
        blocks: &'static [u8],
    },
    Lora,
    SleepState,
}

/// How samples that differ in labels beyond the parallel rank come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Across {
    /// Separate queues: their sum.
    Sum,
    /// Several views of one thing: the greatest.
    Max,
}

/// One wanted family.
#[derive(Debug)]
pub(super) struct Family {
    /// The name after the engine's prefix and its separator.
    name: &'static [u8],
    pub(super) meaning: Meaning,
    pub(super) across: Across,
    /// Only samples with this label value count.
    pub(super) only: Option<(&'static [u8], &'static [u8])>,
}

const fn sum(name: &'static str, meaning: Meaning) -> Family {
    Family {
        name: name.as_bytes(),
        meaning,
        across: Across::Sum,
        only: None,
    }
}

const fn max(name: &'static str, meaning: Meaning) -> Family {
    Family {
        name: name.as_bytes(),
        meaning,
        across: Across::Max,
        only: None,
    }
}

const fn part(
    name: &'static str,
    label: &'static str,
    value: &'static str,
    meaning: Meaning,
) -> Family {
    let only = Some((label.as_bytes(), value.as_bytes()));
    Family {
        name: name.as_bytes(),
        meaning,
        across: Across::Max,
        only,
    }
}

const VLLM: &[Family] = &[
    sum("num_requests_running", Meaning::Running),
    sum("num_requests_waiting", Meaning::Waiting),
    max("kv_cache_usage_perc", Meaning::KvUsage),
    // Before 0.10; hidden by default since.
    max("gpu_cache_usage_perc", Meaning::KvUsageLegacy),
    max("lora_requests_info", Meaning::Lora),
    sum(
        "cache_config_info",
        Meaning::CacheInfo {
            block_size: b"block_size",
            blocks: b"num_gpu_blocks",
        },
    ),
    max("engine_sleep_state", Meaning::SleepState),
];

const SGLANG: &[Family] = &[
    sum("num_running_reqs", Meaning::Running),
    sum("num_queue_reqs", Meaning::Waiting),
    max("token_usage", Meaning::KvUsage),
    sum(
        "cache_config_info",
        Meaning::CacheInfo {
            block_size: b"page_size",
            blocks: b"num_pages",
        },
    ),
];

const TRTLLM: &[Family] = &[
    sum("num_requests_running", Meaning::Running),
    sum("num_requests_waiting", Meaning::Waiting),
    max("kv_cache_utilization", Meaning::KvUsage),
    max("kv_cache_tokens_per_block", Meaning::BlockSize),
    sum("kv_cache_max_blocks", Meaning::Blocks),
];

const TRITON_TRTLLM: &[Family] = &[
    part(
        "trt_llm_request_metrics",
        "request_type",
        "waiting",
        Meaning::Waiting,
    ),
    part(
        "trt_llm_request_metrics",
        "request_type",
        "scheduled",
        Meaning::Running,
    ),
    part(
        "trt_llm_kv_cache_block_metrics",
        "kv_cache_block_type",
        "fraction",
        Meaning::KvUsage,
    ),
    part(
        "trt_llm_kv_cache_block_metrics",
        "kv_cache_block_type",
        "tokens_per",
        Meaning::BlockSize,
    ),
    part(
        "trt_llm_kv_cache_block_metrics",
        "kv_cache_block_type",
        "max",
        Meaning::Blocks,
    ),
];

const TRITON: &[Family] = &[
    // An ensemble reports each request under the name of every model it passes through, so the
    // greatest is taken. The reference reads the counter nv_inference_exec_count as "running";
    // a count of executions since start is no load, so it is left out.
    max("inference_pending_request_count", Meaning::Waiting),
];

const LLAMA_CPP: &[Family] = &[
    sum("requests_processing", Meaning::Running),
    sum("requests_deferred", Meaning::Waiting),
    max("kv_cache_usage_ratio", Meaning::KvUsage),
];

/// Engines by the prefix of their names.
const PREFIXES: [(&[u8], Engine, &[Family]); 6] = [
    (b"vllm", Engine::Vllm, VLLM),
    (b"sglang", Engine::Sglang, SGLANG),
    (b"trtllm", Engine::TrtllmServe, TRTLLM),
    (b"nv", Engine::TritonTrtllm, TRITON_TRTLLM),
    (b"nv", Engine::Triton, TRITON),
    (b"llamacpp", Engine::LlamaCpp, LLAMA_CPP),
];

/// The families a line belongs to, and what follows their name. Several families can share a
/// name and differ in a label; they come as one slice.
pub(super) fn find(line: &[u8]) -> Option<(Engine, &'static [Family], &[u8])> {
    // Most lines end here, by their first byte or soon after.
    for (prefix, engine, families) in PREFIXES {
        let Some(name) = strip_prefix(line, prefix) else {
            continue;
        };
        for (index, family) in families.iter().enumerate() {
            let Some(rest) = name.strip_prefix(family.name) else {
                continue;
            };
            if matches!(rest.first(), Some(b'{' | b' ' | b'\t')) {
                let same = families[index..]
                    .iter()
                    .take_while(|next| next.name == family.name);
                return Some((engine, &families[index..index + same.count()], rest));
            }
        }
    }
    None
}

fn strip_prefix<'l>(line: &'l [u8], prefix: &[u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(prefix)? {
        [b':' | b'_', name @ ..] => Some(name),
        _ => None,
    }
}
