//! The process's own limits.

/// File handles worth asking for: two per stream, and some to spare, for 100,000 streams.
const OPEN_FILES_WANTED: u64 = 262_144;

/// Systems give at least this much unless told otherwise.
const LOWEST_USUAL_HARD_LIMIT: u64 = 1_024;

/// Raises the limit on open files; each stream takes two handles. Where we may not raise the hard limit, the soft
/// one goes up to it.
pub(crate) fn raise_open_files() {
    let raised = rlimit::getrlimit(rlimit::Resource::NOFILE).and_then(|(soft, hard)| {
        // A hard limit this low was set on purpose.
        if hard < LOWEST_USUAL_HARD_LIMIT {
            return rlimit::setrlimit(rlimit::Resource::NOFILE, hard, hard);
        }
        let wanted = OPEN_FILES_WANTED.max(soft);
        rlimit::setrlimit(rlimit::Resource::NOFILE, wanted, wanted.max(hard))
            .or_else(|_| rlimit::setrlimit(rlimit::Resource::NOFILE, hard, hard))
    });
    match raised.and_then(|()| rlimit::getrlimit(rlimit::Resource::NOFILE)) {
        Ok((limit, _)) => tracing::debug!(limit, "open files"),
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit on open files; many concurrent streams may fail")
        }
    }
}
