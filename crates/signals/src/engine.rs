//! Kinds of model server.

use std::fmt;

/// The software that serves the model, as far as its metrics tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Engine {
    /// Not recognised yet.
    #[default]
    Unknown = 0,
    /// vLLM, or anything that speaks its metric names.
    Vllm = 1,
    /// SGLang.
    Sglang = 2,
    /// TensorRT-LLM's own server, `trtllm-serve`.
    TrtllmServe = 3,
    /// Triton with the TensorRT-LLM backend.
    TritonTrtllm = 4,
    /// Triton with another backend.
    Triton = 5,
    /// llama.cpp's `llama-server`.
    LlamaCpp = 6,
}

impl Engine {
    /// Every engine that can be recognised.
    pub const KNOWN: [Engine; 6] = [
        Engine::Vllm,
        Engine::Sglang,
        Engine::TrtllmServe,
        Engine::TritonTrtllm,
        Engine::Triton,
        Engine::LlamaCpp,
    ];

    /// The name used in labels and configuration: the values of the `llm-d.ai/engine-type` pod
    /// label where upstream defines one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Engine::Unknown => "unknown",
            Engine::Vllm => "vllm",
            Engine::Sglang => "sglang",
            Engine::TrtllmServe => "trtllm-serve",
            Engine::TritonTrtllm => "triton-tensorrt-llm",
            Engine::Triton => "triton",
            Engine::LlamaCpp => "llama.cpp",
        }
    }

    /// Reads the value of an engine-type label; `None` for a value nobody defined.
    #[must_use]
    pub fn from_label(value: &str) -> Option<Engine> {
        Engine::KNOWN
            .into_iter()
            .find(|engine| engine.as_str() == value)
    }

    pub(crate) fn from_u8(value: u8) -> Engine {
        Engine::KNOWN
            .into_iter()
            .find(|engine| *engine as u8 == value)
            .unwrap_or(Engine::Unknown)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_and_byte_round_trip() {
        for engine in Engine::KNOWN {
            assert_eq!(Engine::from_label(engine.as_str()), Some(engine));
            assert_eq!(Engine::from_u8(engine as u8), engine);
        }
        assert_eq!(Engine::from_label("unknown"), None);
        assert_eq!(Engine::from_u8(200), Engine::Unknown);
    }
}
