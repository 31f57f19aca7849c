//! Our servers over gRPC: the reference pickers' own cases in neutral form, faults, and many streams.
//!
//! The cases stand beside the project, in `../shared/data/cases`. Where they are absent the tests say so and pass. Cases
//! where we differ on purpose are listed in `docs/compat.md`, by id, with the reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod bbr;
mod compare;
mod differences;
mod epp;
mod faults;
mod house;
mod metrics;
mod play;
mod scenario;
mod streams;
mod wire;

use serde_json::Value;
use std::path::PathBuf;

/// The parsed file of cases, or `None` with a notice where it is absent.
pub fn cases(file: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/cases")
        .join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: ../shared/data/cases/{file} is absent");
            None
        }
    }
}
