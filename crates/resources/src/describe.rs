use crate::Snapshot;
use std::fmt;

/// A short account of a snapshot for people. `Display` gives several lines.
#[derive(Clone, Debug)]
pub struct Summary<'s> {
    snapshot: &'s Snapshot,
}

impl Snapshot {
    /// A short account of listeners, routes and pools.
    pub fn summary(&self) -> Summary<'_> {
        Summary { snapshot: self }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} listeners", self.snapshot.listeners.len())
    }
}
