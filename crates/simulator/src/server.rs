//! The HTTP interface: vLLM's endpoints over one [`crate::Engine`].

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, Faults, SimConfig};

/// One simulated server, ready to serve.
#[derive(Debug)]
pub struct Simulator {
    handle: SimHandle,
}

/// A view into a running server, for tests and for the process that holds many of them. Clones
/// share the server.
#[derive(Debug, Clone)]
pub struct SimHandle {
    _private: (),
}

/// A server's state and totals at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SimStats {
    /// Requests in the batch, now rather than at the last step's end.
    pub running: u32,
    /// Requests waiting, now.
    pub waiting: u32,
    /// KV blocks that running requests hold, now.
    pub used_blocks: u32,
    /// KV blocks that can be found by their hash.
    pub cached_blocks: usize,
    /// Inference requests that have arrived over HTTP.
    pub received: u64,
    /// Requests that emitted all their tokens.
    pub finished: u64,
    /// Requests whose client went away.
    pub aborted: u64,
    /// Prompt tokens looked up in the prefix cache.
    pub cache_queries: u64,
    /// Of those, the ones found.
    pub cache_hits: u64,
    /// Tokens emitted.
    pub generation_tokens: u64,
    /// Requests that lost their blocks and were computed again.
    pub preemptions: u64,
    /// Greatest delay of a step's end behind its due time, seconds of real time.
    pub lag_max_s: f64,
    /// Mean of that delay over all steps, seconds of real time.
    pub lag_mean_s: f64,
}

impl Simulator {
    /// Checks the settings and makes an idle server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field that is out of its bounds.
    pub fn new(config: SimConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            handle: SimHandle { _private: () },
        })
    }

    /// A view into this server that stays valid while it serves.
    pub fn handle(&self) -> SimHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is cancelled (connections end after their answer) or a crash fault
    /// strikes (connections end at once).
    ///
    /// # Errors
    ///
    /// Fails when the listener does.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        shutdown.cancelled().await;
        drop(listener);
        Ok(())
    }
}

impl SimHandle {
    /// State and totals now.
    pub fn stats(&self) -> SimStats {
        SimStats::default()
    }

    /// Replaces the faults.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the field that is out of its bounds; nothing is changed then.
    pub fn set_faults(&self, faults: Faults) -> Result<(), ConfigError> {
        faults.validate()
    }
}

/// Serves one simulated server on `listener` until `shutdown` is cancelled.
///
/// # Errors
///
/// Fails with `InvalidInput` when the settings are out of their bounds, else when the listener
/// does.
pub async fn serve(
    listener: TcpListener,
    config: SimConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let simulator = Simulator::new(config)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    tracing::debug!(address = ?listener.local_addr().ok() as Option<SocketAddr>, "simulated server");
    simulator.serve(listener, shutdown).await
}
