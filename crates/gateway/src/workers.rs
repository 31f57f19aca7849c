//! One thread per core, each with a runtime and connection pools of its own.
//!
//! A request stays on the thread of its client connection, with the connections to model servers that it uses.
//! Waking another thread costs tens of microseconds, and a proxied request would do so four times and more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// The threads that serve connections.
pub(crate) struct Workers {
    list: Vec<Worker>,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    pub(crate) shared: Arc<Shared>,
    open: Arc<AtomicUsize>,
}

/// Counts a connection on its worker until dropped.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts one thread for each of `shared`; they end, and drop what they still serve, with `stop`.
    pub(crate) fn start(shared: Vec<Arc<Shared>>, stop: &CancellationToken) -> io::Result<Self> {
        let list = shared.into_iter().enumerate().map(|(number, shared)| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = stop.clone();
            std::thread::Builder::new()
                .name(format!("gateway-{number}"))
                .spawn(move || runtime.block_on(stop.cancelled()))?;
            Ok(Worker {
                runtime: handle,
                shared,
                open: Arc::default(),
            })
        });
        Ok(Self {
            list: list.collect::<io::Result<_>>()?,
        })
    }

    /// The worker with the fewest connections, and a seat on it.
    pub(crate) fn seat(&self) -> Option<(&Worker, Seat)> {
        let worker = self
            .list
            .iter()
            .min_by_key(|worker| worker.open.load(Ordering::Relaxed))?;
        worker.open.fetch_add(1, Ordering::Relaxed);
        Some((worker, Seat(worker.open.clone())))
    }
}
