//! Known plugin types.

use resources::ParameterSchemas;
use serde_json::Value;

use crate::kind::{Build, Handouts, Instance, Kind, Stability};
use crate::parameters::ParameterFault;
use crate::{
    admitters, deciders, filters, flow, handlers, layer, parsers, pickers, producers, readers,
    reporters, scorers, screeners, session,
};

/// Known plugin types.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: Vec<Kind>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::standard()
    }
}

impl Registry {
    /// All plugin types of this crate.
    #[must_use]
    pub fn standard() -> Self {
        let single = [
            admitters::KINDS,
            deciders::KINDS,
            parsers::KINDS,
            pickers::KINDS,
            readers::KINDS,
            reporters::KINDS,
            screeners::KINDS,
            session::KINDS,
        ];
        let grouped = [
            filters::KINDS,
            flow::KINDS,
            handlers::KINDS,
            layer::KINDS,
            producers::KINDS,
            scorers::KINDS,
        ];
        let all = single
            .into_iter()
            .chain(grouped.into_iter().flatten().copied());
        let mut kinds: Vec<Kind> = all.flatten().copied().collect();
        kinds.sort_by_key(|kind| kind.name);
        Self { kinds }
    }

    /// Adds a type; a later one of the same name wins.
    pub fn register(&mut self, kind: Kind) {
        self.kinds.retain(|known| known.name != kind.name);
        self.kinds.push(kind);
        self.kinds.sort_by_key(|kind| kind.name);
    }

    /// All types, by name.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The type of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// Makes one instance outside of any configuration, under the name of its type. It knows no
    /// other plugins. For tests and tools.
    ///
    /// # Errors
    /// All that is wrong with the parameters; a type that is not registered.
    pub fn instance(
        &self,
        kind: &str,
        parameters: &Value,
    ) -> Result<Instance, Vec<ParameterFault>> {
        let Some(known) = self.get(kind) else {
            return Err(vec![ParameterFault {
                path: String::new(),
                message: format!("plugin type '{kind}' is not registered"),
            }]);
        };
        let nobody = |_: &str| None;
        let mut handouts = Handouts::default();
        let mut build = Build::alone(known, parameters, &nobody, &mut handouts);
        let instance = known.make(&mut build);
        if build.faults.is_empty() {
            Ok(instance)
        } else {
            Err(build.faults)
        }
    }

    /// The JSON schema of `EndpointPickerConfig` with the parameters of every type.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schemas = ParameterSchemas::default();
        for kind in &self.kinds {
            kind.add_schema(&mut schemas);
        }
        resources::EndpointPickerConfig::schema(schemas)
    }

    /// The names that are closest to one that is not known, for messages.
    pub(crate) fn suggestions(&self, name: &str) -> String {
        // What begins like it is nearer than what is a few letters away.
        let mut near: Vec<(bool, usize, &str)> = self
            .kinds
            .iter()
            .map(|kind| {
                let begins = kind.name.starts_with(name);
                (!begins, distance(name, kind.name), kind.name)
            })
            .collect();
        near.sort_unstable();
        let names: Vec<&str> = near.into_iter().take(3).map(|(_, _, name)| name).collect();
        names.join(", ")
    }

    /// One line per type: what it is, and how far it can be relied on.
    #[must_use]
    pub fn listing(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for kind in &self.kinds {
            let roles: Vec<&str> = kind.roles.names().collect();
            let mut marks = String::new();
            if kind.stability == Stability::Alpha {
                marks.push_str(", alpha");
            }
            if kind.ours {
                marks.push_str(", not in the reference");
            }
            if let Some(instead) = kind.deprecated {
                let _ = write!(marks, ", deprecated: {instead}");
            }
            let _ = writeln!(text, "{:<44} {}{marks}", kind.name, roles.join(", "));
        }
        text
    }
}

/// Number of letters to insert, drop or change to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (to, wanted) in other.iter().enumerate() {
            let changed = corner + usize::from(letter != *wanted);
            corner = row[to + 1];
            row[to + 1] = changed.min(corner + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
