//! The process's own limits.

/// File handles worth asking for: two per stream, and some to spare, for 100,000 streams.
const OPEN_FILES_WANTED: u64 = 262_144;

/// Raises the soft limit on open files as far as the hard limit allows; each stream takes two handles.
pub(crate) fn raise_open_files() {
    match rlimit::increase_nofile_limit(OPEN_FILES_WANTED) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit on open files; many concurrent streams may fail")
        }
    }
}
