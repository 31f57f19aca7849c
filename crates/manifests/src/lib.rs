//! Manifests on disk as a source of configuration.
//!
//! [`FileSource`] reads files and directories, has [`resources::build`] make a snapshot of them, and
//! watches for changes. What it reads:
//! - a file as it is, whatever its name;
//! - of a directory, the files that end in `.yaml`, `.yml` or `.json`, links followed, hidden ones
//!   and `kustomization.yaml` left out, directories in it not entered; so a mounted ConfigMap works, whose files are links
//!   through a directory that is swapped as a whole.
//!
//! Invariants:
//! - a snapshot is published only if the whole of it is free of errors, each under a number greater
//!   than the one before; a change that is refused leaves the last good one in force, is logged with
//!   file, place and reason, and is counted;
//! - reading is bounded: [`MAX_FILE_BYTES`], [`MAX_TOTAL_BYTES`], [`MAX_FILES`];
//! - files are read on a thread of their own, never on an async worker.

mod error;
mod log;
mod read;
mod source;
mod status;
mod text;
mod watching;

pub use error::SourceError;
pub use read::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, read};
pub use source::FileSource;
pub use status::{State, Status};
pub use text::TextFile;
