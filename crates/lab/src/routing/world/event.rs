//! What is due when.

use std::cmp::Ordering;

use signals::ScrapeMark;
use simulator::Nanos;

/// Something that happens to routers, requests or the fleet. Servers have their own clocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A request comes that waited for another.
    Arrive(u32),
    /// A request is at its server.
    Reach(u32),
    /// The router learns that a server refused or lost a request.
    Refused(u32),
    /// The router sees the first token.
    FirstToken(u32),
    /// The router sees the end.
    Ended(u32),
    /// A router asks a server for its metrics.
    Scrape(u16, u32),
    /// The server reads them.
    Sample(u16, u32, ScrapeMark),
    /// Something comes from a server to a router.
    Parcel(u16, u32, u32),
    /// The next entry of the timeline.
    Timeline(usize),
    /// A server is there.
    Join(usize),
}

/// Ordered by time, and then by when it was noted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) at: Nanos,
    pub(super) sequence: u64,
    pub(super) what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
