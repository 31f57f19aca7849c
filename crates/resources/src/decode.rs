//! From a tree to a typed value, with the path of everything that does not fit.

use crate::tree::Node;
use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_path_to_error::{Segment, Track};

/// Something in a tree that does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From the root of the object.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Decodes `node`, which stands at `prefix` in its object. Unknown fields are faults, but do not
/// keep the value from being decoded.
pub(crate) fn decode<T: DeserializeOwned>(
    node: &Node,
    prefix: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let mut track = Track::new();
    let json = node.to_json();
    let tracked = serde_path_to_error::Deserializer::new(json, &mut track);
    let mut note_unknown = |path: Path<'_>| {
        let mut full = prefix.to_owned();
        append_ignored(&path, &mut full);
        faults.push(Fault {
            path: full,
            message: "unknown field, check its spelling and indentation".to_owned(),
        });
    };
    // Erased: else the two wrappers above would be compiled anew for each of hundreds of types.
    let strict = serde_ignored::Deserializer::new(tracked, &mut note_unknown);
    let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(strict);
    let result = erased_serde::deserialize(&mut erased);
    drop(erased);
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let error: erased_serde::Error = error;
            let mut path = prefix.to_owned();
            for segment in &track.path() {
                match segment {
                    Segment::Seq { index } => append_index(*index, &mut path),
                    Segment::Map { key } | Segment::Enum { variant: key } => {
                        append_key(key, &mut path);
                    }
                    Segment::Unknown => {}
                }
            }
            faults.push(Fault {
                path,
                message: error.to_string(),
            });
            None
        }
    }
}

fn append_ignored(path: &Path<'_>, out: &mut String) {
    match path {
        Path::Root => {}
        Path::Seq { parent, index } => {
            append_ignored(parent, out);
            append_index(*index, out);
        }
        Path::Map { parent, key } => {
            append_ignored(parent, out);
            append_key(key, out);
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => append_ignored(parent, out),
    }
}

/// Adds an index to a path.
pub(crate) fn append_index(index: usize, out: &mut String) {
    out.push_str(&format!("[{index}]"));
}

/// Adds a key to a path.
pub(crate) fn append_key(key: &str, out: &mut String) {
    if !out.is_empty() {
        out.push('.');
    }
    out.push_str(key);
}
