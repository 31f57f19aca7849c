//! Reading LLM requests and answers without building documents.
//!
//! This room knows the body formats of the LLM APIs (OpenAI, Anthropic, vLLM) and takes out of
//! them the few facts the gateway works with: the model, the prompt's byte ranges, limits, usage.
//!
//! Invariants:
//!
//! - **One pass, no tree.** A body is scanned once, chunk by chunk, as it arrives. It is never
//!   copied and never turned into a document; every fact is a small value or a byte range.
//! - **Splits do not matter.** Every reader gives the same result however its input is cut.
//! - **Only `model` is patched**, by byte range; all other bytes reach the engine as the client
//!   wrote them.
//! - **Everything is bounded**: nesting, captured names, recorded spans, carried events, inflated
//!   bodies. The bounds are public constants.
//! - **No prompt text, salt or header value in errors or `Debug` output.**
//! - No I/O, no clock.

mod answer;
mod api;
mod blocks;
mod body;
mod content;
mod decode;
mod error;
mod facts;
mod grpc;
mod multipart;
mod name;
mod parser;
mod patch;
mod reader;
mod reply;
mod request;
mod response;
mod scan;
mod stream;
mod tap;
mod top_field;
mod usage;

pub use answer::{ApiError, error_body, error_event};
pub use api::{Api, Dialect};
pub use blocks::{prefix_seed, prompt_blocks};
pub use body::Body;
pub use content::Encoding;
pub use decode::decode;
pub use error::BodyError;
pub use facts::{
    BYTES_PER_TOKEN, Facts, MAX_PROMPT_SPANS, MEDIA_TOKENS, PromptKind, PromptSpan, UsageEdit,
};
pub use grpc::GrpcTap;
pub use name::MAX_NAME_BYTES;
pub use parser::{NoParser, Parser, Parsers, Resolved};
pub use patch::patch_model;
pub use reader::Reader;
pub use response::JsonResponse;
pub use stream::{Ended, MAX_EVENT_BYTES, Progress, Rename, StreamReader};
pub use tap::StreamTap;
pub use top_field::{TopField, top_field};
pub use usage::{FieldState, FinishReason, Usage};
