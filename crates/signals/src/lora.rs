//! LoRA adapters of an endpoint, as its engine reports them.

use std::sync::Arc;

/// Where a model server stands with one adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterState {
    /// Requests for it are in the running batch, so it is loaded.
    Running,
    /// Not running, but the server has a free adapter slot.
    RoomToLoad,
    /// Requests for it wait for a slot.
    Waiting,
    /// All slots are taken by others.
    Full,
}

/// Adapters *with requests* on a server (not adapters resident: engines do not tell that).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoraState {
    /// Adapters with requests in the running batch.
    pub running: Vec<Arc<str>>,
    /// Adapters with requests that wait for a slot.
    pub waiting: Vec<Arc<str>>,
    /// How many adapters fit in one batch; 0 when the server serves none.
    pub max: u32,
}

impl LoraState {
    /// The server's standing with `adapter`.
    #[must_use]
    pub fn state_of(&self, adapter: &str) -> AdapterState {
        let named = |names: &[Arc<str>]| names.iter().any(|name| &**name == adapter);
        if named(&self.running) {
            AdapterState::Running
        } else if self.running.len() + self.waiting.len() < self.max as usize {
            AdapterState::RoomToLoad
        } else if named(&self.waiting) {
            AdapterState::Waiting
        } else {
            AdapterState::Full
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_with_an_adapter() {
        let names = |list: &[&str]| list.iter().map(|name| Arc::from(*name)).collect::<Vec<_>>();
        let state = |running: &[&str], waiting: &[&str], max| LoraState {
            running: names(running),
            waiting: names(waiting),
            max,
        };
        let cases = [
            (state(&["a"], &[], 1), AdapterState::Running),
            (state(&["b"], &[], 2), AdapterState::RoomToLoad),
            (state(&["b"], &["a"], 3), AdapterState::RoomToLoad),
            (state(&["b"], &["a"], 2), AdapterState::Waiting),
            (state(&["b"], &["c"], 2), AdapterState::Full),
            (state(&[], &[], 0), AdapterState::Full),
        ];
        for (lora, want) in cases {
            assert_eq!(lora.state_of("a"), want, "{lora:?}");
        }
    }
}
