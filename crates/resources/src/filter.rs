use crate::{BackendTarget, Scheme};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What happens to a request or its response on the way.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Changes headers of the request.
    RequestHeaders(HeaderChange),
    /// Changes headers of the response.
    ResponseHeaders(HeaderChange),
    /// Answers with a redirect; the rule has no backends.
    Redirect(Redirect),
    /// Changes host or path towards the backend.
    Rewrite(Rewrite),
    /// Sends a copy elsewhere and drops its response.
    Mirror(Mirror),
    /// Cross-origin resource sharing.
    Cors(Cors),
    /// A filter this gateway cannot carry out. Requests that meet it must be answered with a 500,
    /// never passed on without it (Gateway API, `HTTPRouteFilter`).
    Invalid(Arc<str>),
}

/// Changes to a set of headers. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct HeaderChange {
    /// Replaces all values.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Adds to the values that are there.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Takes away all values.
    pub remove: Vec<HeaderName>,
}

impl fmt::Debug for HeaderChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(HeaderName, HeaderValue)]| -> Vec<HeaderName> {
            pairs.iter().map(|(name, _)| name.clone()).collect()
        };
        formatter
            .debug_struct("HeaderChange")
            .field("set", &names(&self.set))
            .field("add", &names(&self.add))
            .field("remove", &self.remove)
            .finish()
    }
}

/// How a redirect or rewrite changes the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// Replaces the whole path.
    ReplaceFull(Arc<str>),
    /// Replaces the prefix that the match named; the rest stays.
    ReplacePrefix(Arc<str>),
}

/// A redirect. Parts left out are taken from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// New scheme.
    pub scheme: Option<Scheme>,
    /// New host.
    pub hostname: Option<Arc<str>>,
    /// New path.
    pub path: Option<PathChange>,
    /// New port.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// A change of host or path towards the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// New `Host`.
    pub hostname: Option<Arc<str>>,
    /// New path.
    pub path: Option<PathChange>,
}

/// Copies of some requests to another backend.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where copies go.
    pub target: BackendTarget,
    /// Of `denominator` requests, how many are copied.
    pub numerator: u32,
    /// Never zero, never less than `numerator`.
    pub denominator: u32,
}

impl Mirror {
    /// True if the request that drew `draw`, uniform over all `u64`, is to be copied.
    pub fn takes(&self, draw: u64) -> bool {
        let slot = (u128::from(draw) * u128::from(self.denominator)) >> 64;
        slot < u128::from(self.numerator)
    }
}

/// An origin that CORS lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigin {
    /// `*`
    Any,
    /// `https://www.example.com` or with a port, compared without case.
    Exact(Arc<str>),
    /// The scheme with `://`, and the end of the host with its port, of `https://*.example.com:8443`.
    Wildcard {
        /// `https://`
        prefix: Arc<str>,
        /// `.example.com:8443`
        suffix: Arc<str>,
    },
}

/// Cross-origin resource sharing (GEP-1767). Empty lists allow nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Origins allowed.
    pub origins: Vec<CorsOrigin>,
    /// Whether cookies and authorisation may be sent along.
    pub allow_credentials: bool,
    /// Methods allowed; `None` allows every one.
    pub methods: Option<Vec<Method>>,
    /// Request headers allowed; `None` allows every one.
    pub headers: Option<Vec<HeaderName>>,
    /// Response headers that a script may read; `None` exposes every one.
    pub expose_headers: Option<Vec<HeaderName>>,
    /// How long a browser may keep the answer.
    pub max_age: Duration,
}
