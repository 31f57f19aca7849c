use std::fmt;
use std::sync::Arc;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration must be refused as a whole.
    Error,
    /// The configuration can serve, but something in it does not do what its author may think.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong with the manifests, and where.
///
/// `Display` is one line: `file:line: object path: message`, each part left out when unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The source that holds the offending text, as named by [`crate::Source::path`].
    pub source: Arc<str>,
    /// Line in that source, counted from 1.
    pub line: Option<u32>,
    /// Kind and name of the object, for example `HTTPRoute default/chat`.
    pub object: Option<String>,
    /// Place inside the object, for example `spec.rules[0].matches[1].path.value`; empty for the object itself.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether the configuration must be refused because of it.
    pub severity: Severity,
}

impl Problem {
    /// True if the configuration must be refused because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        formatter.write_str(":")?;
        if let Some(object) = &self.object {
            write!(formatter, " {object}")?;
        }
        if !self.path.is_empty() {
            write!(formatter, " {}", self.path)?;
        }
        if self.object.is_some() || !self.path.is_empty() {
            formatter.write_str(":")?;
        }
        write!(formatter, " {}", self.message)
    }
}
