//! Kubernetes manifests in, one immutable [`Snapshot`] out.
//!
//! [`build`] takes the *text* of manifests, never files, and returns the snapshot together with every
//! [`Problem`] it found. It does no I/O, knows no clock, and gives the same answer for the same input
//! whatever order the sources come in (except where the API itself makes list order matter).
//!
//! Invariants of a snapshot built without an [`Severity::Error`]:
//! - every reference is resolved: a rule holds its pools and services, or [`BackendTarget::Invalid`]
//!   with the reason why requests that draw it get a 500;
//! - every regular expression is compiled, every header name and duration parsed;
//! - every rule has at least one match, and every attached route at least one rule;
//! - pools and services hold ready endpoints only.

mod backend;
mod base_models;
mod build;
mod decode;
mod describe;
mod duration;
mod endpoint;
mod filter;
mod hostname;
mod limits;
mod name;
mod objects;
mod picker;
mod pool;
mod problem;
mod report;
mod route;
mod snapshot;
mod source;
mod tree;

pub use backend::{AppProtocol, Backend, BackendTarget, Service};
pub use base_models::BaseModels;
pub use build::build;
pub use describe::Summary;
pub use duration::{DurationError, parse_duration};
pub use endpoint::{EndpointFlagError, EndpointSpec, Scheme};
pub use filter::{Cors, CorsOrigin, Filter, HeaderChange, Mirror, PathChange, Redirect, Rewrite};
pub use hostname::{Hostname, HostnameError};
pub use name::ObjectName;
pub use picker::{
    Band, BandLimits, DataLayerConfig, Dialect, EndpointPickerConfig, FlowControl, FlowLimits,
    Gates, GoDuration, ParameterSchemas, PluginConfig, PluginRef, ProfileConfig, ProfilePlugin,
    Quantity, QuantityError, RequestHandlerConfig, SourceConfig, parse_go_duration,
};
pub use pool::{ModelRewrites, Pool, RewriteRule, RewriteTarget, Rewritten};
pub use problem::{Problem, Severity};
pub use route::{
    HeaderMatch, PathMatch, QueryMatch, Retry, Route, RouteMatch, Rule, Timeouts, ValueMatch,
};
pub use snapshot::{AttachedRoute, CertifiedPem, Listener, ListenerProtocol, Snapshot};
pub use source::{Options, Serves, Source};
