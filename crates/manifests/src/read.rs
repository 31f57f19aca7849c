use crate::SourceError;
use resources::Source;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most bytes that all files may hold together.
pub const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// Most files that are read.
pub const MAX_FILES: usize = 10_000;

/// Reads all manifests under `paths`, ordered by path within each directory. A file that is reached
/// twice is read once.
///
/// # Errors
/// [`SourceError`] naming the path, if something cannot be read, is no text, or goes over a bound.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    let mut left = MAX_TOTAL_BYTES;
    for file in files(paths)? {
        let text = read_file(&file, left)?;
        left = left.saturating_sub(text.len() as u64);
        sources.push(Source::new(file.display().to_string(), text));
    }
    Ok(sources)
}

/// The files that [`read`] would read.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let failed = |error| SourceError::Read {
            path: path.clone(),
            error,
        };
        let found = if fs::metadata(path).map_err(failed)?.is_dir() {
            of_directory(path).map_err(failed)?
        } else {
            vec![path.clone()]
        };
        for file in found {
            let failed = |error| SourceError::Read {
                path: file.clone(),
                error,
            };
            if seen.insert(fs::canonicalize(&file).map_err(failed)?) {
                files.push(file);
            }
        }
        if files.len() > MAX_FILES {
            return Err(SourceError::TooMany { path: path.clone() });
        }
    }
    Ok(files)
}

fn of_directory(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // One more than allowed is enough to say that there are too many.
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // A link that leads nowhere is kept: reading it then says so.
        if is_manifest(&path) && !path.is_dir() {
            files.push(path);
            if files.len() > MAX_FILES {
                break;
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Judged by name. Hidden files are what editors leave while a file is being changed; a
/// kustomization lies beside manifests and is none.
fn is_manifest(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default();
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    !hidden && stem != "kustomization" && matches!(ending, "yaml" | "yml" | "json")
}

fn read_file(path: &Path, left: u64) -> Result<String, SourceError> {
    let failed = |error| SourceError::Read {
        path: path.to_owned(),
        error,
    };
    let limit = MAX_FILE_BYTES.min(left);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(SourceError::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| SourceError::NotText {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;
