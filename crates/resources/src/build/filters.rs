mod cors;

use super::backends::{Backends, Reference};
use crate::report::{Place, Report};
use crate::{Filter, HeaderChange, Mirror, ObjectName, PathChange, Redirect, Rewrite, Scheme};
use gateway_api::apis::standard::httproutes::{
    HttpRouteRulesFilters as FilterSpec, HttpRouteRulesFiltersRequestHeaderModifier as HeadersSpec,
    HttpRouteRulesFiltersRequestMirror as MirrorSpec,
    HttpRouteRulesFiltersRequestRedirect as RedirectSpec,
    HttpRouteRulesFiltersRequestRedirectScheme as SchemeSpec,
    HttpRouteRulesFiltersType as FilterType, HttpRouteRulesFiltersUrlRewrite as RewriteSpec,
};
use http::{HeaderName, HeaderValue, StatusCode};

/// What filters need to know of where they stand.
pub(super) struct Scope<'a, 'o> {
    pub(super) route: &'a ObjectName,
    pub(super) place: &'a Place,
    pub(super) backends: &'a mut Backends<'o>,
    pub(super) report: &'a mut Report,
    /// True if the rule has exactly one match and that one is a path prefix.
    pub(super) one_prefix: bool,
}

/// Builds the filters at `path`, in their order.
pub(super) fn build(specs: &[FilterSpec], path: &str, scope: &mut Scope<'_, '_>) -> Vec<Filter> {
    let mut filters = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let same = |other: &FilterSpec| other.r#type == spec.r#type;
        let once = !matches!(
            spec.r#type,
            FilterType::RequestMirror | FilterType::ExtensionRef
        );
        if once && specs[..index].iter().any(same) {
            let message = format!("{} is given twice, want it once", name(&spec.r#type));
            scope
                .report
                .error(scope.place, format!("{path}.type"), message);
            continue;
        }
        if check_union(spec, &path, scope) {
            filters.extend(one(spec, &path, scope));
        }
    }
    let has = |wanted: &FilterType| specs.iter().any(|spec| spec.r#type == *wanted);
    if has(&FilterType::RequestRedirect) && has(&FilterType::UrlRewrite) {
        let message = "holds both RequestRedirect and URLRewrite, want one of them";
        scope.report.error(scope.place, path, message);
    }
    filters
}

fn name(kind: &FilterType) -> &'static str {
    match kind {
        FilterType::RequestHeaderModifier => "RequestHeaderModifier",
        FilterType::ResponseHeaderModifier => "ResponseHeaderModifier",
        FilterType::RequestMirror => "RequestMirror",
        FilterType::RequestRedirect => "RequestRedirect",
        FilterType::UrlRewrite => "URLRewrite",
        FilterType::ExtensionRef => "ExtensionRef",
        FilterType::Cors => "CORS",
    }
}

/// A filter holds the part its type names, and no other.
fn check_union(spec: &FilterSpec, path: &str, scope: &mut Scope<'_, '_>) -> bool {
    let parts = [
        (
            "requestHeaderModifier",
            FilterType::RequestHeaderModifier,
            spec.request_header_modifier.is_some(),
        ),
        (
            "responseHeaderModifier",
            FilterType::ResponseHeaderModifier,
            spec.response_header_modifier.is_some(),
        ),
        (
            "requestMirror",
            FilterType::RequestMirror,
            spec.request_mirror.is_some(),
        ),
        (
            "requestRedirect",
            FilterType::RequestRedirect,
            spec.request_redirect.is_some(),
        ),
        (
            "urlRewrite",
            FilterType::UrlRewrite,
            spec.url_rewrite.is_some(),
        ),
        (
            "extensionRef",
            FilterType::ExtensionRef,
            spec.extension_ref.is_some(),
        ),
        ("cors", FilterType::Cors, spec.cors.is_some()),
    ];
    let mut fits = true;
    for (key, kind, given) in parts {
        let wanted = kind == spec.r#type;
        if wanted == given {
            continue;
        }
        fits = false;
        let message = if given {
            format!(
                "does not belong to a filter of type {}, want type {}",
                name(&spec.r#type),
                name(&kind)
            )
        } else {
            format!("is missing, want it for a filter of type {}", name(&kind))
        };
        scope
            .report
            .error(scope.place, format!("{path}.{key}"), message);
    }
    fits
}

fn one(spec: &FilterSpec, path: &str, scope: &mut Scope<'_, '_>) -> Option<Filter> {
    if let Some(headers) = &spec.request_header_modifier {
        let change = header_change(headers, &format!("{path}.requestHeaderModifier"), scope);
        return Some(Filter::RequestHeaders(change));
    }
    if let Some(headers) = &spec.response_header_modifier {
        // The bindings have one type for each of the two, with the same fields.
        let json = serde_json::to_value(headers).ok()?;
        let headers: HeadersSpec = serde_json::from_value(json).ok()?;
        let change = header_change(&headers, &format!("{path}.responseHeaderModifier"), scope);
        return Some(Filter::ResponseHeaders(change));
    }
    if let Some(mirror) = &spec.request_mirror {
        return mirror_filter(mirror, &format!("{path}.requestMirror"), scope);
    }
    if let Some(redirect) = &spec.request_redirect {
        return redirect_filter(redirect, &format!("{path}.requestRedirect"), scope);
    }
    if let Some(rewrite) = &spec.url_rewrite {
        return rewrite_filter(rewrite, &format!("{path}.urlRewrite"), scope);
    }
    if let Some(cors) = &spec.cors {
        return cors::build(cors, &format!("{path}.cors"), scope);
    }
    let extension = spec.extension_ref.as_ref()?;
    let message = format!(
        "{} {} of group `{}` is not a filter that plimsoll has, so requests that meet it get a 500",
        extension.kind, extension.name, extension.group
    );
    scope.report.warning(
        scope.place,
        format!("{path}.extensionRef"),
        message.as_str(),
    );
    Some(Filter::Invalid(message.into()))
}

fn header_change(spec: &HeadersSpec, path: &str, scope: &mut Scope<'_, '_>) -> HeaderChange {
    let mut change = HeaderChange::default();
    for (index, header) in spec.set.iter().flatten().enumerate() {
        let path = format!("{path}.set[{index}]");
        change
            .set
            .extend(header_pair(&header.name, &header.value, &path, scope));
    }
    for (index, header) in spec.add.iter().flatten().enumerate() {
        let path = format!("{path}.add[{index}]");
        change
            .add
            .extend(header_pair(&header.name, &header.value, &path, scope));
    }
    for name in spec.remove.iter().flatten() {
        change
            .remove
            .extend(HeaderName::from_bytes(name.as_bytes()));
    }
    change
}

/// A name that is none has been reported against the table of limits; a value is never shown.
fn header_pair(
    name: &str,
    value: &str,
    path: &str,
    scope: &mut Scope<'_, '_>,
) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    match HeaderValue::from_bytes(value.as_bytes()) {
        Ok(value) => Some((name, value)),
        Err(_) => {
            let message = "holds a control character, want a header value on one line";
            scope
                .report
                .error(scope.place, format!("{path}.value"), message);
            None
        }
    }
}

fn mirror_filter(spec: &MirrorSpec, path: &str, scope: &mut Scope<'_, '_>) -> Option<Filter> {
    let (numerator, denominator) = match (spec.percent, &spec.fraction) {
        (Some(_), Some(_)) => {
            let message = "holds both percent and fraction, want one of them";
            scope.report.error(scope.place, path, message);
            return None;
        }
        (Some(percent), None) => (percent, 100),
        (None, Some(fraction)) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
        (None, None) => (1, 1),
    };
    if numerator > denominator {
        let message = format!("`{numerator}` is more than the denominator {denominator}");
        scope
            .report
            .error(scope.place, format!("{path}.fraction.numerator"), message);
        return None;
    }
    let reference = Reference {
        group: spec.backend_ref.group.as_deref().unwrap_or_default(),
        kind: spec.backend_ref.kind.as_deref().unwrap_or("Service"),
        namespace: spec.backend_ref.namespace.as_deref(),
        name: &spec.backend_ref.name,
        port: spec.backend_ref.port,
    };
    let path = format!("{path}.backendRef");
    let target = scope
        .backends
        .resolve(reference, scope.route, scope.place, &path, scope.report);
    // Numbers out of range have been reported against the table of limits.
    let (numerator, denominator) = (
        u32::try_from(numerator).ok()?,
        u32::try_from(denominator).ok().filter(|n| *n > 0)?,
    );
    Some(Filter::Mirror(Mirror {
        target,
        numerator,
        denominator,
    }))
}

fn redirect_filter(spec: &RedirectSpec, path: &str, scope: &mut Scope<'_, '_>) -> Option<Filter> {
    let status = spec.status_code.unwrap_or(302);
    let known = [301, 302, 303, 307, 308].contains(&status);
    if !known {
        let message = format!("`{status}` is not supported, want 301, 302, 303, 307 or 308");
        scope
            .report
            .error(scope.place, format!("{path}.statusCode"), message);
    }
    let change = match &spec.path {
        None => None,
        Some(change) => {
            let kind = serde_json::to_value(&change.r#type).ok()?;
            let parts = PathParts {
                is_prefix: kind == "ReplacePrefixMatch",
                full: change.replace_full_path.as_deref(),
                prefix: change.replace_prefix_match.as_deref(),
            };
            Some(path_change(&parts, &format!("{path}.path"), scope)?)
        }
    };
    let status = known.then(|| u16::try_from(status).ok()).flatten()?;
    Some(Filter::Redirect(Redirect {
        scheme: spec.scheme.as_ref().map(|scheme| match scheme {
            SchemeSpec::Http => Scheme::Http,
            SchemeSpec::Https => Scheme::Https,
        }),
        hostname: spec.hostname.as_deref().map(Into::into),
        path: change,
        port: spec.port.and_then(|port| u16::try_from(port).ok()),
        status: StatusCode::from_u16(status).ok()?,
    }))
}

fn rewrite_filter(spec: &RewriteSpec, path: &str, scope: &mut Scope<'_, '_>) -> Option<Filter> {
    let change = match &spec.path {
        None => None,
        Some(change) => {
            let kind = serde_json::to_value(&change.r#type).ok()?;
            let parts = PathParts {
                is_prefix: kind == "ReplacePrefixMatch",
                full: change.replace_full_path.as_deref(),
                prefix: change.replace_prefix_match.as_deref(),
            };
            Some(path_change(&parts, &format!("{path}.path"), scope)?)
        }
    };
    Some(Filter::Rewrite(Rewrite {
        hostname: spec.hostname.as_deref().map(Into::into),
        path: change,
    }))
}

/// `path` of a redirect or a rewrite: two types in the bindings, with the same fields.
struct PathParts<'a> {
    is_prefix: bool,
    full: Option<&'a str>,
    prefix: Option<&'a str>,
}

fn path_change(parts: &PathParts<'_>, path: &str, scope: &mut Scope<'_, '_>) -> Option<PathChange> {
    let (kind, wanted, value, other, stray) = if parts.is_prefix {
        (
            "ReplacePrefixMatch",
            "replacePrefixMatch",
            parts.prefix,
            "replaceFullPath",
            parts.full,
        )
    } else {
        (
            "ReplaceFullPath",
            "replaceFullPath",
            parts.full,
            "replacePrefixMatch",
            parts.prefix,
        )
    };
    if stray.is_some() {
        let message = format!("does not belong to type {kind}");
        scope
            .report
            .error(scope.place, format!("{path}.{other}"), message);
    }
    let Some(value) = value else {
        let message = format!("is missing, want it for type {kind}");
        scope
            .report
            .error(scope.place, format!("{path}.{wanted}"), message);
        return None;
    };
    if !value
        .bytes()
        .all(|byte| (0x21..0x7f).contains(&byte) && byte != b'#' && byte != b'?')
    {
        let message =
            format!("`{value}` is not a path, want no blanks, `?`, `#` or characters beyond ASCII");
        scope
            .report
            .error(scope.place, format!("{path}.{wanted}"), message);
        return None;
    }
    if !parts.is_prefix {
        return Some(PathChange::ReplaceFull(value.into()));
    }
    if !scope.one_prefix {
        let message = "needs a rule with exactly one match, and that one a PathPrefix";
        scope.report.error(
            scope.place,
            format!("{path}.type"),
            format!("ReplacePrefixMatch {message}"),
        );
        return None;
    }
    Some(PathChange::ReplacePrefix(value.into()))
}
