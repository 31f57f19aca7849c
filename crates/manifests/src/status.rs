use tokio::sync::watch;

/// How watching went so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Number of the configuration in force; the first is 1.
    pub generation: u64,
    /// Changes refused since the start.
    pub refused: u64,
    /// Why the last change was refused; `None` once a later one was taken.
    pub last_error: Option<String>,
}

/// How watching goes, for gauges and for whoever waits.
#[derive(Debug, Default)]
pub struct Status {
    state: watch::Sender<State>,
}

impl Status {
    /// Number of the configuration in force.
    pub fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Changes refused since the start.
    pub fn refused(&self) -> u64 {
        self.state.borrow().refused
    }

    /// Why the last change was refused; `None` once a later one was taken.
    pub fn last_error(&self) -> Option<String> {
        self.state.borrow().last_error.clone()
    }

    /// The state and those that follow.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn took(&self, generation: u64) {
        self.state.send_modify(|state| {
            state.generation = generation;
            state.last_error = None;
        });
    }

    pub(crate) fn refuse(&self, reason: String) {
        self.state.send_modify(|state| {
            state.refused += 1;
            state.last_error = Some(reason);
        });
    }
}
