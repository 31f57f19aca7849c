//! Where time comes from.

use signals::Time;

/// The process's clock. The gateway, the scrapers and the lifecycle must share one, for ages are
/// differences of its readings.
///
/// Readings never go backwards and are never [`Time::ZERO`], which stands for "never".
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Time;
}

impl<F: Fn() -> Time + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Time {
        self()
    }
}
