use crate::{Backend, Filter, ObjectName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An HTTPRoute.
#[derive(Clone, Debug)]
pub struct Route {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.creationTimestamp`, Unix seconds. Older routes win ties; none counts as newest.
    pub created: Option<i64>,
    /// Rules in the order of the manifest.
    pub rules: Vec<Rule>,
}

/// One rule of a [`Route`].
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its optional name.
    pub name: Option<Arc<str>>,
    /// Alternatives, never empty: a rule without matches holds the prefix `/`.
    pub matches: Vec<RouteMatch>,
    /// Filters in the order they are to be applied.
    pub filters: Vec<Filter>,
    /// Where requests go, by weight.
    pub backends: Vec<Backend>,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// When and how often to try again.
    pub retry: Option<Retry>,
}

/// One alternative of a rule; every part of it must hold.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// Condition on the path.
    pub path: PathMatch,
    /// Method, if it matters.
    pub method: Option<http::Method>,
    /// Conditions on headers; each name once.
    pub headers: Vec<HeaderMatch>,
    /// Conditions on query parameters; each name once.
    pub query: Vec<QueryMatch>,
}

/// Condition on the path of a request, without its query.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The very same path, byte for byte.
    Exact(Arc<str>),
    /// Whole leading path elements. Held without trailing slash, so `/` is the empty string.
    Prefix(Arc<str>),
    /// The whole path matches the expression (it is anchored at both ends).
    Regex(regex::Regex),
}

impl PathMatch {
    /// The prefix `/`, which every path has.
    pub fn any() -> Self {
        Self::Prefix("".into())
    }

    /// True if `path`, which must be without query, meets the condition.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.as_ref() == path,
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_ref())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(formatter, "exact {path}"),
            Self::Prefix(path) if path.is_empty() => formatter.write_str("prefix /"),
            Self::Prefix(path) => write!(formatter, "prefix {path}"),
            Self::Regex(regex) => write!(formatter, "regex {}", regex.as_str()),
        }
    }
}

/// Condition on one header.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// Header name.
    pub name: http::HeaderName,
    /// Condition on its value.
    pub value: ValueMatch,
}

/// Condition on one query parameter.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// Parameter name, compared byte for byte after percent-decoding the request's.
    pub name: Arc<str>,
    /// Condition on its value.
    pub value: ValueMatch,
}

/// Condition on a text. `Debug` shows no value.
#[derive(Clone)]
pub enum ValueMatch {
    /// The very same text.
    Exact(Arc<str>),
    /// The whole text matches the expression (it is anchored at both ends).
    Regex(regex::bytes::Regex),
}

impl ValueMatch {
    /// True if `value` meets the condition.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl fmt::Debug for ValueMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exact(_) => "Exact(..)",
            Self::Regex(_) => "Regex(..)",
        })
    }
}

/// Time limits of a rule; `None` where unset or switched off with `0s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For the whole request, all attempts included.
    pub request: Option<Duration>,
    /// For one attempt at a backend; never longer than `request`.
    pub backend_request: Option<Duration>,
}

/// When to send a request again (GEP-1731).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Status codes of the backend that allow another attempt. Connection failures always do.
    pub codes: Vec<u16>,
    /// Most attempts after the first one.
    pub attempts: u32,
    /// Shortest wait before an attempt.
    pub backoff: Duration,
}
