mod bucket;
mod candidate;
mod rules;

use crate::RequestView;
use crate::host::{HostIndex, Lowered};
use candidate::Candidate;
use resources::{Listener, Route, RouteMatch, Rule, Snapshot};
use rules::RuleIndex;
use std::collections::HashMap;
use std::sync::Arc;

/// The rules of a snapshot, in the order in which they are to be tried. Immutable.
///
/// Order (Gateway API, `HTTPRouteRule`): the listener with the most specific hostname; its routes by
/// how specific the hostname is that matched; then exact paths, regular expressions (the longer
/// one first; the API leaves their rank open), prefixes (the longer one first); then matches on a
/// method, more headers, more query parameters; then the older route, its name, and the order in it.
///
/// Looking up hashes host, path and model; only rules that share all of them are gone through one by
/// one. Expressions are the exception: those of a hostname are all tried.
#[derive(Debug)]
pub struct Table {
    listeners: Vec<Listener>,
    ports: HashMap<u16, HostIndex<ListenerRules>>,
    uses_model_headers: bool,
}

/// The routes of all listeners that share a port and a hostname.
#[derive(Debug, Default)]
struct ListenerRules {
    hosts: HostIndex<RuleIndex>,
}

/// Place of a candidate in the table's listeners.
#[derive(Clone, Copy, Debug)]
struct Address {
    listener: u32,
    route: u32,
    rule: u32,
    alternative: u32,
}

/// What trying candidates came to.
enum Tried {
    Match(Address),
    NeedsModel,
    Nothing,
}

impl Table {
    /// Compiles the rules of a snapshot.
    pub fn build(snapshot: &Snapshot) -> Self {
        let mut ports: HashMap<u16, HostIndex<ListenerRules>> = HashMap::new();
        let mut uses_model_headers = false;
        for (index, listener) in snapshot.listeners.iter().enumerate() {
            let port = ports.entry(listener.port).or_default();
            let rules = port.entry(listener.hostname.as_ref());
            for candidate in candidate::of_listener(index, listener) {
                uses_model_headers |= candidate.needs_model();
                rules
                    .hosts
                    .entry(candidate.hostname.as_ref())
                    .push(candidate);
            }
        }
        for listener in ports.values_mut().flat_map(HostIndex::values_mut) {
            listener.hosts.values_mut().for_each(RuleIndex::sort);
        }
        Self {
            listeners: snapshot.listeners.clone(),
            ports,
            uses_model_headers,
        }
    }

    /// Finds the rule a request meets.
    ///
    /// The listener follows from port and host; the server name of the handshake counts only where
    /// the request names no host.
    pub fn route<'t>(&'t self, request: &RequestView<'_>) -> Outcome<'t> {
        let host = crate::host::without_port(request.host);
        let host = if host.is_empty() {
            request.sni.unwrap_or_default()
        } else {
            host
        };
        let mut lowered = Lowered::default();
        let host = lowered.fill(host);
        let Some(listener) = self
            .ports
            .get(&request.port)
            .and_then(|port| port.best(host))
        else {
            return Outcome::NoListener;
        };
        for rules in listener.hosts.matching(host) {
            match rules.find(request) {
                Tried::Match(address) => {
                    return self
                        .matched(address)
                        .map_or(Outcome::NoRoute, Outcome::Matched);
                }
                Tried::NeedsModel => return Outcome::NeedsModel,
                Tried::Nothing => {}
            }
        }
        Outcome::NoRoute
    }

    /// True if some rule matches on a model header, so that bodies may have to be read.
    pub fn uses_model_headers(&self) -> bool {
        self.uses_model_headers
    }

    /// The listeners of the snapshot.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    fn matched(&self, address: Address) -> Option<Matched<'_>> {
        let listener = self.listeners.get(address.listener as usize)?;
        let route = &listener.routes.get(address.route as usize)?.route;
        let rule_index = address.rule as usize;
        let matched = route
            .rules
            .get(rule_index)?
            .matches
            .get(address.alternative as usize)?;
        Some(Matched {
            listener,
            route,
            rule_index,
            matched,
        })
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

#[cfg(test)]
mod tests;
