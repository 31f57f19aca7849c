use crate::report::{Place, Report};
use crate::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};
use gateway_api::apis::standard::httproutes::{
    HttpRouteRulesMatches, HttpRouteRulesMatchesHeadersType as HeaderType,
    HttpRouteRulesMatchesMethod as MethodName, HttpRouteRulesMatchesPath,
    HttpRouteRulesMatchesPathType as PathType, HttpRouteRulesMatchesQueryParamsType as QueryType,
};
use http::{HeaderName, Method};

/// Most bytes a compiled expression may take, so that a route cannot eat the memory.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// Compiles one alternative of a rule. `None` if a part of it is wrong.
pub(super) fn build(
    spec: &HttpRouteRulesMatches,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<RouteMatch> {
    let path_match = match &spec.path {
        None => Some(PathMatch::any()),
        Some(spec) => path_match(spec, place, &format!("{path}.path"), report),
    };
    let headers = headers(spec, place, path, report);
    let query = query(spec, place, path, report);
    let method = spec.method.as_ref().map(method);
    Some(RouteMatch {
        path: path_match?,
        method,
        headers: headers?,
        query: query?,
    })
}

fn path_match(
    spec: &HttpRouteRulesMatchesPath,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<PathMatch> {
    let value = spec.value.as_deref().unwrap_or("/");
    let path = format!("{path}.value");
    let kind = spec.r#type.as_ref().unwrap_or(&PathType::PathPrefix);
    if *kind == PathType::RegularExpression {
        let built = anchored(value).and_then(|expression| {
            regex::RegexBuilder::new(&expression)
                .size_limit(REGEX_SIZE_LIMIT)
                .build()
        });
        return match built {
            Ok(regex) => Some(PathMatch::Regex(regex)),
            Err(error) => {
                report.error(place, path, regex_problem(value, &error));
                None
            }
        };
    }
    if let Some(message) = path_problem(value) {
        report.error(
            place,
            path,
            format!("`{value}` is not valid here: {message}"),
        );
        return None;
    }
    Some(match kind {
        PathType::Exact => PathMatch::Exact(value.into()),
        _ => PathMatch::Prefix(value.trim_end_matches('/').into()),
    })
}

/// The rules that HTTPRoute's definition has for exact paths and prefixes.
fn path_problem(value: &str) -> Option<&'static str> {
    if !value.starts_with('/') {
        return Some("want a path that starts with `/`");
    }
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        if value.contains(part) {
            return Some("want a path without `//`, `/./`, `/../`, `%2F` and `#`");
        }
    }
    if value.ends_with("/..") || value.ends_with("/.") {
        return Some("want a path that does not end with `/.` or `/..`");
    }
    (!is_path_text(value.as_bytes()))
        .then_some("want letters, digits, any of -/._~!$&'()*+,;=:@ and %XX")
}

fn is_path_text(mut bytes: &[u8]) -> bool {
    while let [first, rest @ ..] = bytes {
        bytes = match (first, rest) {
            (b'%', [high, low, rest @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest
            }
            (byte, rest)
                if byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(byte) =>
            {
                rest
            }
            _ => return false,
        };
    }
    true
}

/// The whole value has to match, as in other gateways.
fn anchored(expression: &str) -> Result<String, regex::Error> {
    // Alone first: brackets that close ours would pass otherwise.
    regex::RegexBuilder::new(expression)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()?;
    Ok(format!("^(?:{expression})$"))
}

/// The last line of the parser's message says what is wrong; the others draw it.
fn regex_problem(expression: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let reason = last.strip_prefix("error: ").unwrap_or(last);
    format!("`{expression}` is not a regular expression (RE2 syntax): {reason}")
}

fn headers(
    spec: &HttpRouteRulesMatches,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<Vec<HeaderMatch>> {
    let mut matches: Vec<HeaderMatch> = Vec::new();
    let mut complete = true;
    for (index, header) in spec.headers.iter().flatten().enumerate() {
        let path = format!("{path}.headers[{index}]");
        // A name that is none has been reported against the table of limits.
        let Ok(name) = HeaderName::from_bytes(header.name.as_bytes()) else {
            complete = false;
            continue;
        };
        if matches.iter().any(|known| known.name == name) {
            let message = format!("`{name}` is already matched on, so this match is ignored");
            report.warning(place, format!("{path}.name"), message);
            continue;
        }
        let regex = header.r#type == Some(HeaderType::RegularExpression);
        match value_match(&header.value, regex, place, &path, report) {
            Some(value) => matches.push(HeaderMatch { name, value }),
            None => complete = false,
        }
    }
    complete.then_some(matches)
}

fn query(
    spec: &HttpRouteRulesMatches,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<Vec<QueryMatch>> {
    let mut matches = Vec::new();
    let mut complete = true;
    for (index, parameter) in spec.query_params.iter().flatten().enumerate() {
        let path = format!("{path}.queryParams[{index}]");
        let regex = parameter.r#type == Some(QueryType::RegularExpression);
        match value_match(&parameter.value, regex, place, &path, report) {
            Some(value) => matches.push(QueryMatch {
                name: parameter.name.as_str().into(),
                value,
            }),
            None => complete = false,
        }
    }
    complete.then_some(matches)
}

fn value_match(
    value: &str,
    regex: bool,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<ValueMatch> {
    if !regex {
        return Some(ValueMatch::Exact(value.into()));
    }
    let built = anchored(value).and_then(|expression| {
        regex::bytes::RegexBuilder::new(&expression)
            .size_limit(REGEX_SIZE_LIMIT)
            .build()
    });
    match built {
        Ok(regex) => Some(ValueMatch::Regex(regex)),
        Err(error) => {
            report.error(place, format!("{path}.value"), regex_problem(value, &error));
            None
        }
    }
}

fn method(name: &MethodName) -> Method {
    match name {
        MethodName::Get => Method::GET,
        MethodName::Head => Method::HEAD,
        MethodName::Post => Method::POST,
        MethodName::Put => Method::PUT,
        MethodName::Delete => Method::DELETE,
        MethodName::Connect => Method::CONNECT,
        MethodName::Options => Method::OPTIONS,
        MethodName::Trace => Method::TRACE,
        MethodName::Patch => Method::PATCH,
    }
}
