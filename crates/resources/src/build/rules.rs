use super::backends::{Backends, Reference};
use super::{filters, matches};
use crate::objects::{Loaded, RetrySpec, RouteSpec};
use crate::report::{Place, Report};
use crate::{Backend, Filter, PathMatch, Retry, RouteMatch, Rule, Timeouts, parse_duration};
use gateway_api::apis::standard::httproutes::{
    HttpRouteRules, HttpRouteRulesFilters, HttpRouteRulesFiltersType as FilterType,
    HttpRouteRulesMatchesPathType as PathType, HttpRouteRulesTimeouts,
};
use std::time::Duration;

/// Most matches of all rules of a route together.
const MAX_MATCHES: usize = 128;
/// Shortest wait before an attempt where a route names none.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);

/// Builds all rules of a route. Rules with an error in them are left out.
pub(super) fn build(
    route: &Loaded<RouteSpec>,
    backends: &mut Backends<'_>,
    report: &mut Report,
) -> Vec<Rule> {
    let Some(specs) = &route.spec.spec.rules else {
        // The definition's default: everything matches, nothing serves it.
        let spec = HttpRouteRules::default();
        return rule(route, &spec, None, "spec.rules[0]", backends, report)
            .into_iter()
            .collect();
    };
    let count: usize = specs
        .iter()
        .map(|rule| rule.matches.as_ref().map_or(1, Vec::len))
        .sum();
    if count > MAX_MATCHES {
        let message = format!("hold {count} matches together, want at most {MAX_MATCHES}");
        report.error(&route.place, "spec.rules", message);
    }
    let mut rules = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let retry = route.spec.retries.get(index).and_then(Option::as_ref);
        rules.extend(rule(route, spec, retry, &path, backends, report));
    }
    rules
}

fn rule(
    route: &Loaded<RouteSpec>,
    spec: &HttpRouteRules,
    retry: Option<&RetrySpec>,
    path: &str,
    backends: &mut Backends<'_>,
    report: &mut Report,
) -> Option<Rule> {
    let place = &route.place;
    let matches = rule_matches(spec, place, path, report);
    let mut scope = filters::Scope {
        route: &route.name,
        place,
        backends,
        report,
        one_prefix: has_one_prefix(spec),
    };
    let filters_path = format!("{path}.filters");
    let built = filters::build(
        spec.filters.as_deref().unwrap_or_default(),
        &filters_path,
        &mut scope,
    );
    let built_backends = rule_backends(spec, path, &mut scope);
    check_redirect(spec, &built, place, path, report);
    let timeouts = timeouts(spec.timeouts.as_ref(), place, path, report);
    Some(Rule {
        name: spec.name.as_deref().map(Into::into),
        matches: matches?,
        filters: built,
        backends: built_backends,
        timeouts: timeouts?,
        retry: retry.map(retry_of),
    })
}

fn rule_matches(
    spec: &HttpRouteRules,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<Vec<RouteMatch>> {
    let specs = spec.matches.as_deref().unwrap_or_default();
    if specs.is_empty() {
        let path = PathMatch::any();
        return Some(vec![RouteMatch {
            path,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }]);
    }
    let mut all = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        all.push(matches::build(
            spec,
            place,
            &format!("{path}.matches[{index}]"),
            report,
        ));
    }
    all.into_iter().collect()
}

fn has_one_prefix(spec: &HttpRouteRules) -> bool {
    match spec.matches.as_deref().unwrap_or_default() {
        [] => true,
        [only] => {
            let kind = only.path.as_ref().and_then(|path| path.r#type.as_ref());
            kind.is_none_or(|kind| *kind == PathType::PathPrefix)
        }
        _ => false,
    }
}

fn rule_backends(
    spec: &HttpRouteRules,
    path: &str,
    scope: &mut filters::Scope<'_, '_>,
) -> Vec<Backend> {
    let mut all = Vec::new();
    for (index, backend) in spec.backend_refs.iter().flatten().enumerate() {
        let path = format!("{path}.backendRefs[{index}]");
        let reference = Reference {
            group: backend.group.as_deref().unwrap_or_default(),
            kind: backend.kind.as_deref().unwrap_or("Service"),
            namespace: backend.namespace.as_deref(),
            name: &backend.name,
            port: backend.port,
        };
        let target =
            scope
                .backends
                .resolve(reference, scope.route, scope.place, &path, scope.report);
        // The bindings have a second set of types for filters of backends, with the same fields.
        let specs: Vec<HttpRouteRulesFilters> = serde_json::to_value(&backend.filters)
            .and_then(serde_json::from_value::<Option<_>>)
            .ok()
            .flatten()
            .unwrap_or_default();
        for (index, spec) in specs.iter().enumerate() {
            if spec.r#type == FilterType::RequestRedirect {
                let message =
                    "RequestRedirect cannot be a filter of a backend, want it in a rule of its own";
                let path = format!("{path}.filters[{index}].type");
                scope.report.error(scope.place, path, message);
            }
        }
        let filters = filters::build(&specs, &format!("{path}.filters"), scope);
        let weight = backend
            .weight
            .map_or(Some(1), |weight| u32::try_from(weight).ok());
        // A negative weight has been reported against the table of limits.
        all.push(Backend {
            weight: weight.unwrap_or(0),
            target,
            filters,
        });
    }
    all
}

fn check_redirect(
    spec: &HttpRouteRules,
    filters: &[Filter],
    place: &Place,
    path: &str,
    report: &mut Report,
) {
    let redirects = filters
        .iter()
        .any(|filter| matches!(filter, Filter::Redirect(_)));
    let has_backends = spec
        .backend_refs
        .as_ref()
        .is_some_and(|backends| !backends.is_empty());
    if redirects && has_backends {
        let message = "is given beside a RequestRedirect filter, want one or the other";
        report.error(place, format!("{path}.backendRefs"), message);
    }
    let answers = filters
        .iter()
        .any(|filter| matches!(filter, Filter::Redirect(_) | Filter::Invalid(_)));
    if !has_backends && !answers {
        let message = "has no backendRefs and no RequestRedirect, so its requests get a 500";
        report.warning(place, path, message);
    }
}

/// `None` if a duration is wrong, which has been reported against the table of limits.
fn timeouts(
    spec: Option<&HttpRouteRulesTimeouts>,
    place: &Place,
    path: &str,
    report: &mut Report,
) -> Option<Timeouts> {
    let Some(spec) = spec else {
        return Some(Timeouts::default());
    };
    let read = |text: Option<&String>| match text.map(|text| parse_duration(text)) {
        None => Some(None),
        Some(Ok(duration)) => Some(Some(duration).filter(|duration| !duration.is_zero())),
        Some(Err(_)) => None,
    };
    let timeouts = Timeouts {
        request: read(spec.request.as_ref())?,
        backend_request: read(spec.backend_request.as_ref())?,
    };
    if let (Some(whole), Some(attempt)) = (timeouts.request, timeouts.backend_request)
        && attempt > whole
    {
        let message = format!(
            "`{}` is longer than the request timeout `{}`, want it no longer",
            spec.backend_request.as_deref().unwrap_or_default(),
            spec.request.as_deref().unwrap_or_default()
        );
        report.error(place, format!("{path}.timeouts.backendRequest"), message);
        return None;
    }
    Some(timeouts)
}

fn retry_of(spec: &RetrySpec) -> Retry {
    let backoff = spec
        .backoff
        .as_deref()
        .and_then(|text| parse_duration(text).ok());
    Retry {
        codes: spec.codes.clone(),
        attempts: spec.attempts.unwrap_or(1),
        backoff: backoff.unwrap_or(DEFAULT_BACKOFF),
    }
}
