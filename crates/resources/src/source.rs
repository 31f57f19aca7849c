use crate::{EndpointSpec, ObjectName};
use std::sync::Arc;

/// The text of one manifest file: YAML with any number of documents, or JSON.
#[derive(Clone, Debug)]
pub struct Source {
    /// How problems name this source, usually the file's path.
    pub path: Arc<str>,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Pairs a path with its text.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// What [`crate::build`] needs beside the manifests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of the listener that is made up when there is neither a Gateway nor an HTTPRoute.
    pub default_listen_port: u16,
    /// Endpoints from the command line.
    pub endpoints: Vec<EndpointSpec>,
    /// What the configuration is for.
    pub serves: Serves,
    /// Manifests that flags stand for.
    pub made_up: Vec<Source>,
}

/// What a configuration is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Serves {
    /// A gateway: Gateways and HTTPRoutes say what goes where.
    #[default]
    Gateway,
    /// An endpoint picker for this pool, or for the only one: its requests are routed already, and Gateways and
    /// HTTPRoutes do not count.
    Pool(Option<ObjectName>),
    /// A body-based router: only the mapping of models to base models counts.
    Models,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_listen_port: 8080,
            endpoints: Vec::new(),
            serves: Serves::Gateway,
            made_up: Vec::new(),
        }
    }
}
