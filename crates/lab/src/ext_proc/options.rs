//! `plimsoll bench epp`.

use std::path::PathBuf;

use clap::ValueEnum;

/// What one request looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// 200 tokens in, 100 streamed out.
    Short,
    /// 10,000 tokens in, 100 out.
    #[value(name = "10k")]
    TenK,
    /// 100,000 tokens in, 100 out.
    #[value(name = "100k")]
    HundredK,
    /// 200 tokens in, 10,000 out.
    LongOutput,
}

impl Shape {
    /// Tokens of the prompt, at four bytes each.
    #[must_use]
    pub fn prompt_tokens(self) -> usize {
        match self {
            Self::Short | Self::LongOutput => 200,
            Self::TenK => 10_000,
            Self::HundredK => 100_000,
        }
    }

    /// Events of the answer.
    #[must_use]
    pub fn events(self) -> usize {
        match self {
            Self::Short | Self::TenK | Self::HundredK => 100,
            Self::LongOutput => 10_000,
        }
    }
}

/// How the proxy shows bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BodyMode {
    /// Both bodies in pieces that flow both ways (FULL_DUPLEX_STREAMED), as pickers ask for.
    FullDuplex,
    /// The request whole (BUFFERED), the answer in pieces (STREAMED) that the picker may ask not to be shown.
    Buffered,
}

/// When the next event of an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pace {
    /// Once the picker gave back the one before: tokens come one by one in life too.
    Lockstep,
    /// At once: many events share a packet, which is the least a picker can spend.
    Flood,
}

/// Options of `plimsoll bench epp`.
#[derive(Clone, Debug, clap::Args)]
pub struct EppOptions {
    /// The picker's external-processing address, HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub target: String,

    /// Speak TLS; the certificate is not checked
    #[arg(long)]
    pub tls: bool,

    /// What each request looks like
    #[arg(long, value_enum, default_value = "short")]
    pub shape: Shape,

    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: u32,

    /// Requests in all
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,

    /// Requests before measuring begins
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub warm_up: u64,

    /// Connections to the picker, as Envoy has one per worker thread
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,

    /// How bodies are shown
    #[arg(long, value_enum, default_value = "full-duplex")]
    pub body_mode: BodyMode,

    /// When the next event of an answer is sent
    #[arg(long, value_enum, default_value = "lockstep")]
    pub pace: Pace,

    /// Send whole JSON answers instead of streams
    #[arg(long)]
    pub no_stream: bool,

    /// Ask for token counts in streams
    #[arg(long)]
    pub include_usage: bool,

    /// Take no notice when the picker asks not to be shown an answer
    #[arg(long)]
    pub no_mode_override: bool,

    /// Groups of prompts that share their first half; 0 makes every prompt differ from its first byte
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub groups: u64,

    /// The model to ask for
    #[arg(long, value_name = "NAME", default_value = "model")]
    pub model: String,

    /// A process to measure: CPU time, memory and context switches. Repeatable
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,

    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}
