//! The process's clock: monotonic, and never zero, because zero means "never" to the signals.

use std::time::Instant;

use signals::Time;

/// Time since the process started, plus one second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MonotonicClock {
    epoch: Instant,
}

const HEAD_START_NS: u64 = 1_000_000_000;

impl MonotonicClock {
    pub(crate) fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    fn read(self) -> Time {
        let passed =
            u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX - HEAD_START_NS);
        Time::from_nanos(passed.saturating_add(HEAD_START_NS))
    }
}

impl lifecycle::Clock for MonotonicClock {
    fn now(&self) -> Time {
        self.read()
    }
}

impl collect::Clock for MonotonicClock {
    fn now(&self) -> Time {
        self.read()
    }
}
