use crate::RequestView;
use resources::{Listener, Route, RouteMatch, Rule, Snapshot};
use std::sync::Arc;

/// The rules of a snapshot, in the order in which they are to be tried.
#[derive(Debug)]
pub struct Table {
    listeners: Vec<Listener>,
}

impl Table {
    /// Compiles the rules of a snapshot.
    pub fn build(snapshot: &Snapshot) -> Self {
        Self {
            listeners: snapshot.listeners.clone(),
        }
    }

    /// Finds the rule a request meets.
    pub fn route<'t>(&'t self, _request: &RequestView<'_>) -> Outcome<'t> {
        if self.listeners.is_empty() {
            Outcome::NoListener
        } else {
            Outcome::NoRoute
        }
    }

    /// True if some rule matches on a model header, so that bodies may have to be read.
    pub fn uses_model_headers(&self) -> bool {
        false
    }
}

/// What [`Table::route`] found.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'t> {
    /// A rule.
    Matched(Matched<'t>),
    /// Which rule wins depends on the model, and the body has not been read yet.
    NeedsModel,
    /// No listener serves this port and host.
    NoListener,
    /// The listener has no rule for the request.
    NoRoute,
}

/// The rule a request meets.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'t> {
    /// Listener that took the request.
    pub listener: &'t Listener,
    /// Route that holds the rule.
    pub route: &'t Arc<Route>,
    /// Place of the rule in the route.
    pub rule_index: usize,
    /// The alternative of the rule that matched.
    pub matched: &'t RouteMatch,
}

impl<'t> Matched<'t> {
    /// The rule.
    pub fn rule(&self) -> &'t Rule {
        &self.route.rules[self.rule_index]
    }
}
