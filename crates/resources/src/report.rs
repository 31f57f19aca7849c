use crate::tree::Node;
use crate::{Problem, Severity};
use std::sync::Arc;

/// Collects problems.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
}

/// An object as its author wrote it: what problems point to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Name of the source.
    pub(crate) source: Arc<str>,
    /// Kind and name, as in `HTTPRoute default/chat`.
    pub(crate) object: Option<Arc<str>>,
    /// The object's text, for line numbers.
    pub(crate) node: Arc<Node>,
}

impl Place {
    /// Of an object that nobody wrote.
    pub(crate) fn nowhere() -> Self {
        Self {
            source: "(built in)".into(),
            object: None,
            node: Arc::new(Node {
                line: 0,
                value: crate::tree::Value::Null,
            }),
        }
    }

    /// `file:line` of the object, for a message about another one.
    pub(crate) fn start(&self) -> String {
        match self.node.line {
            0 => self.source.to_string(),
            line => format!("{}:{line}", self.source),
        }
    }
}

impl Report {
    pub(crate) fn error(
        &mut self,
        place: &Place,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Severity::Error, place, path.into(), message.into());
    }

    pub(crate) fn warning(
        &mut self,
        place: &Place,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Severity::Warning, place, path.into(), message.into());
    }

    fn add(&mut self, severity: Severity, place: &Place, path: String, message: String) {
        self.problems.push(Problem {
            severity,
            source: Arc::clone(&place.source),
            line: place.node.line_at(&path),
            object: place.object.as_deref().map(str::to_owned),
            path,
            message,
        });
    }

    /// Adds a problem of a whole source, or of the input as a whole.
    pub(crate) fn source_error(&mut self, source: &Arc<str>, line: Option<u32>, message: String) {
        self.problems.push(Problem {
            severity: Severity::Error,
            source: Arc::clone(source),
            line,
            object: None,
            path: String::new(),
            message,
        });
    }

    /// Adds an error that has no place in a source; `origin` names the option or the input.
    pub(crate) fn option_error(&mut self, origin: &str, message: String) {
        self.source_error(&origin.into(), None, message);
    }

    /// Adds a warning that has no place in a source.
    pub(crate) fn option_warning(&mut self, origin: &str, message: String) {
        self.problems.push(Problem {
            severity: Severity::Warning,
            source: origin.into(),
            line: None,
            object: None,
            path: String::new(),
            message,
        });
    }

    /// All problems, ordered by source, line and object, each once.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }
}
