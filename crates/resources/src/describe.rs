use crate::{Backend, BackendTarget, Listener, ListenerProtocol, Pool, Rule, Snapshot};
use std::collections::BTreeSet;
use std::fmt;

/// A short account of a snapshot for people. `Display` gives several lines.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'s> {
    snapshot: &'s Snapshot,
}

impl Snapshot {
    /// A short account of listeners, routes and pools.
    pub fn summary(&self) -> Summary<'_> {
        Summary { snapshot: self }
    }
}

impl Summary<'_> {
    /// Number of listeners.
    pub fn listeners(&self) -> usize {
        self.snapshot.listeners.len()
    }

    /// Number of routes attached to some listener.
    pub fn routes(&self) -> usize {
        let attached = self
            .snapshot
            .listeners
            .iter()
            .flat_map(|listener| &listener.routes);
        attached
            .map(|attached| &attached.route.name)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Number of rules of those routes.
    pub fn rules(&self) -> usize {
        let attached = self
            .snapshot
            .listeners
            .iter()
            .flat_map(|listener| &listener.routes);
        let routes: std::collections::BTreeMap<_, _> = attached
            .map(|attached| (&attached.route.name, attached.route.rules.len()))
            .collect();
        routes.values().sum()
    }

    /// Number of pools.
    pub fn pools(&self) -> usize {
        self.snapshot.pools.len()
    }

    /// Number of ready endpoints of all pools.
    pub fn endpoints(&self) -> usize {
        self.snapshot
            .pools
            .values()
            .map(|pool| pool.endpoints.len())
            .sum()
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}, {}, {}, {}, {}, {}",
            count(self.listeners(), "listener"),
            count(self.routes(), "route"),
            count(self.rules(), "rule"),
            count(self.pools(), "pool"),
            count(self.endpoints(), "ready endpoint"),
            count(self.snapshot.base_models.len(), "mapped model name"),
        )?;
        for listener in &self.snapshot.listeners {
            describe_listener(listener, formatter)?;
        }
        for pool in self.snapshot.pools.values() {
            describe_pool(pool, formatter)?;
        }
        Ok(())
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

fn describe_listener(listener: &Listener, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let protocol = match listener.protocol {
        ListenerProtocol::Http => "http",
        ListenerProtocol::Https => "https",
    };
    let hostname = listener
        .hostname
        .as_ref()
        .map_or("*".to_owned(), ToString::to_string);
    writeln!(
        formatter,
        "listener {} {}: {protocol} port {}, host {hostname}, {}",
        listener.gateway,
        listener.name,
        listener.port,
        count(listener.routes.len(), "route"),
    )?;
    for attached in &listener.routes {
        let hostnames: Vec<String> = attached.hostnames.iter().map(ToString::to_string).collect();
        let hostnames = if hostnames.is_empty() {
            "*".to_owned()
        } else {
            hostnames.join(", ")
        };
        writeln!(
            formatter,
            "  route {}, host {hostnames}",
            attached.route.name
        )?;
        for (index, rule) in attached.route.rules.iter().enumerate() {
            describe_rule(index, rule, formatter)?;
        }
    }
    Ok(())
}

fn describe_rule(index: usize, rule: &Rule, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(formatter, "    rule {index}")?;
    if let Some(name) = &rule.name {
        write!(formatter, " ({name})")?;
    }
    for (index, found) in rule.matches.iter().enumerate() {
        let joint = if index == 0 { ":" } else { " or" };
        write!(formatter, "{joint} {}", found.path)?;
        if let Some(method) = &found.method {
            write!(formatter, " {method}")?;
        }
        for header in &found.headers {
            write!(formatter, " header {}", header.name)?;
        }
        for parameter in &found.query {
            write!(formatter, " query {}", parameter.name)?;
        }
    }
    let backends: Vec<String> = rule.backends.iter().map(backend).collect();
    writeln!(
        formatter,
        " -> {}",
        if backends.is_empty() {
            "-".to_owned()
        } else {
            backends.join(", ")
        }
    )
}

fn backend(backend: &Backend) -> String {
    let target = match &backend.target {
        BackendTarget::Pool(pool) => format!("pool {}", pool.name),
        BackendTarget::Service(service) => {
            let endpoints = count(service.endpoints.len(), "endpoint");
            format!("service {}:{} ({endpoints})", service.name, service.port)
        }
        BackendTarget::Invalid(_) => "invalid (500)".to_owned(),
    };
    if backend.weight == 1 {
        target
    } else {
        format!("{target} weight {}", backend.weight)
    }
}

fn describe_pool(pool: &Pool, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        formatter,
        "pool {}: {}, {} not ready, {}, {}",
        pool.name,
        count(pool.endpoints.len(), "ready endpoint"),
        pool.not_ready,
        count(pool.objectives.len(), "objective"),
        count(pool.rewrites.rules().len(), "rewrite rule"),
    )
}
