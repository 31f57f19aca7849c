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
    /// Serve this pool and nothing else, as an endpoint picker does: its requests are routed already, and Gateways and
    /// HTTPRoutes do not count.
    pub picker_pool: Option<ObjectName>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_listen_port: 8080,
            endpoints: Vec::new(),
            picker_pool: None,
        }
    }
}
