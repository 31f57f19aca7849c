//! What all connections of one thread use.

use std::sync::Arc;

use lifecycle::Core;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::upstream::Upstreams;

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) options: Options,
    pub(crate) upstreams: Upstreams,
    pub(crate) mirrors: Arc<Semaphore>,
    /// Drops connections that outlasted the patience of a shutdown.
    pub(crate) abandon: CancellationToken,
}
