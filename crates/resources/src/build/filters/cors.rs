use super::Scope;
use crate::{Cors, CorsOrigin, Filter};
use gateway_api::apis::standard::httproutes::HttpRouteRulesFiltersCors as CorsSpec;
use http::{HeaderName, Method};
use std::time::Duration;

/// Builds a CORS filter. `None` if a part of it is wrong.
pub(super) fn build(spec: &CorsSpec, path: &str, scope: &mut Scope<'_, '_>) -> Option<Filter> {
    let lists = [
        ("allowOrigins", &spec.allow_origins),
        ("allowMethods", &spec.allow_methods),
        ("allowHeaders", &spec.allow_headers),
    ];
    let mut fits = true;
    for (key, list) in lists {
        let list = list.as_deref().unwrap_or_default();
        if list.len() > 1 && list.iter().any(|item| item == "*") {
            let message = "holds `*` beside other values, want `*` alone or none";
            scope
                .report
                .error(scope.place, format!("{path}.{key}"), message);
            fits = false;
        }
    }
    let methods = cors_list(spec.allow_methods.as_deref(), |item| {
        item.parse::<Method>().ok().filter(is_standard)
    });
    if methods.is_err() {
        let message = "holds an unknown method, want `*` or GET, HEAD, POST, PUT, DELETE, CONNECT, \
                       OPTIONS, TRACE, PATCH";
        scope
            .report
            .error(scope.place, format!("{path}.allowMethods"), message);
    }
    let name = |item: &str| HeaderName::from_bytes(item.as_bytes()).ok();
    let headers = cors_list(spec.allow_headers.as_deref(), name).ok()?;
    let expose_headers = cors_list(spec.expose_headers.as_deref(), name).ok()?;
    let max_age = u64::try_from(spec.max_age.unwrap_or(5)).ok()?;
    let cors = Cors {
        origins: spec
            .allow_origins
            .iter()
            .flatten()
            .map(|origin| cors_origin(origin))
            .collect(),
        allow_credentials: spec.allow_credentials.unwrap_or(false),
        methods: methods.ok()?,
        headers,
        expose_headers,
        max_age: Duration::from_secs(max_age),
    };
    fits.then_some(Filter::Cors(cors))
}

fn is_standard(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ]
    .contains(method)
}

/// `Ok(None)` stands for `*`.
fn cors_list<T>(
    list: Option<&[String]>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, ()> {
    let list = list.unwrap_or_default();
    if list.iter().any(|item| item == "*") {
        return Ok(None);
    }
    list.iter()
        .map(|item| parse(item))
        .collect::<Option<Vec<T>>>()
        .map(Some)
        .ok_or(())
}

fn cors_origin(origin: &str) -> CorsOrigin {
    match origin.split_once('*') {
        None => CorsOrigin::Exact(origin.into()),
        Some(("", "")) => CorsOrigin::Any,
        Some((prefix, suffix)) => CorsOrigin::Wildcard {
            prefix: prefix.into(),
            suffix: suffix.into(),
        },
    }
}
