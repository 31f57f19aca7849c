//! Threads that serve connections, one runtime each, so that a request never changes threads.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Starts `count` threads that end with `stop`, and gives their runtimes.
pub(crate) fn start(count: usize, stop: &CancellationToken) -> io::Result<Vec<Handle>> {
    (0..count)
        .map(|number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = stop.clone();
            std::thread::Builder::new()
                .name(format!("extproc-{number}"))
                .spawn(move || runtime.block_on(stop.cancelled()))?;
            Ok(handle)
        })
        .collect()
}

/// One per core, unless `asked` says otherwise.
pub(crate) fn count(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    )
}
