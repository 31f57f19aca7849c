use crate::{EndpointSpec, Filter, ObjectName, Pool};
use std::sync::Arc;

/// One backend of a rule.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Share of the requests, relative to the other backends; 0 gets none. At most 1,000,000.
    pub weight: u32,
    /// Where they go.
    pub target: BackendTarget,
    /// Filters for requests to this backend only, after the rule's own.
    pub filters: Vec<Filter>,
}

/// What a backend points to.
#[derive(Clone, Debug)]
pub enum BackendTarget {
    /// A pool of model servers; the scheduler picks the endpoint.
    Pool(Arc<Pool>),
    /// A plain Service.
    Service(Arc<Service>),
    /// Nothing usable, with the reason. It keeps its share, and that share is answered with a 500.
    Invalid(Arc<str>),
}

/// One port of a Service with its ready endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// The Service's port, not that of the endpoints.
    pub port: u16,
    /// Ready endpoints; none means 503.
    pub endpoints: Vec<EndpointSpec>,
    /// What they speak.
    pub app_protocol: AppProtocol,
}

/// HTTP version towards an endpoint in clear text. (Inside TLS, ALPN decides.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge.
    H2c,
}
