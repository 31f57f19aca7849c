use super::{GATEWAY, POOL, assert_problem, built, clean, only_route, only_rule, route, show};
use crate::{BackendTarget, CorsOrigin, Filter, PathChange, PathMatch, Scheme, ValueMatch};
use std::time::Duration;

const TO_POOL: &str =
    "backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]";

/// One rule with these fields, to the pool.
fn rule(fields: &str) -> String {
    route(&format!("[{{{fields}, {TO_POOL}}}]"))
}

#[test]
fn a_whole_rule_is_read() {
    let text = rule(
        "name: chat, matches: [
           {path: {type: PathPrefix, value: /v1/}, method: POST,
            headers: [{name: X-Tier, value: gold}, {name: x-user, type: RegularExpression, value: 'a.c'}],
            queryParams: [{name: q, value: '1'}]},
           {path: {type: Exact, value: /x/}}, {path: {type: RegularExpression, value: '/y[0-9]+'}}],
         timeouts: {request: 10s, backendRequest: 500ms}, retry: {codes: [503], attempts: 3, backoff: 100ms}",
    );
    let snapshot = clean(&[GATEWAY, POOL, &text]);
    let rule = only_rule(&snapshot);
    assert_eq!(rule.name.as_deref(), Some("chat"));
    assert!(matches!(&rule.matches[0].path, PathMatch::Prefix(path) if &**path == "/v1"));
    assert_eq!(rule.matches[0].method, Some(http::Method::POST));
    assert_eq!(rule.matches[0].headers[0].name, "x-tier");
    let regex = &rule.matches[0].headers[1].value;
    assert!(matches!(regex, ValueMatch::Regex(_)));
    assert!(regex.matches(b"abc") && !regex.matches(b"xabc") && !regex.matches(b"abcd"));
    assert!(matches!(&rule.matches[1].path, PathMatch::Exact(path) if &**path == "/x/"));
    assert!(rule.matches[2].path.matches("/y12") && !rule.matches[2].path.matches("/y12/"));
    assert_eq!(rule.timeouts.request, Some(Duration::from_secs(10)));
    assert_eq!(
        rule.timeouts.backend_request,
        Some(Duration::from_millis(500))
    );
    let retry = rule.retry.as_ref().expect("retry");
    assert_eq!(
        (&retry.codes[..], retry.attempts, retry.backoff),
        (&[503][..], 3, Duration::from_millis(100))
    );
    assert!(
        matches!(&rule.backends[0].target, BackendTarget::Pool(pool) if &*pool.name.name == "pool")
    );
}

#[test]
fn defaults_are_those_of_the_definition() {
    let text = route(&format!(
        "[{{{TO_POOL}, timeouts: {{request: 0s, backendRequest: 1h}}, retry: {{}}}}, {{matches: [{{method: GET}}], {TO_POOL}}}]"
    ));
    let snapshot = clean(&[GATEWAY, POOL, &text]);
    let rules = &only_route(&snapshot).rules;
    for rule in rules {
        assert!(
            rule.matches.len() == 1
                && matches!(&rule.matches[0].path, PathMatch::Prefix(path) if path.is_empty())
        );
        assert_eq!(rule.backends[0].weight, 1);
    }
    assert_eq!(rules[0].timeouts.request, None, "0s switches it off");
    assert_eq!(rules[0].retry.as_ref().map(|retry| retry.attempts), Some(1));
    assert!(rules[1].retry.is_none());
}

#[test]
fn faults_of_paths_have_place_value_and_advice() {
    let path = |value: &str| format!("matches: [{{path: {{value: '{value}'}}}}]");
    let cases = [
        (
            path("v1"),
            "spec.rules[0].matches[0].path.value",
            "`v1` is not valid here: want a path that starts with `/`",
        ),
        (
            path("/a//b"),
            "spec.rules[0].matches[0].path.value",
            "want a path without",
        ),
        (
            path("/a/../b"),
            "spec.rules[0].matches[0].path.value",
            "want a path without",
        ),
        (
            path("/a/.."),
            "spec.rules[0].matches[0].path.value",
            "does not end with",
        ),
        (
            path("/a%2Fb"),
            "spec.rules[0].matches[0].path.value",
            "want a path without",
        ),
        (
            path("/a b"),
            "spec.rules[0].matches[0].path.value",
            "want letters, digits",
        ),
        (
            path("/a%zz"),
            "spec.rules[0].matches[0].path.value",
            "want letters, digits",
        ),
        (
            "matches: [{path: {type: RegularExpression, value: '/a('}}]".to_owned(),
            "spec.rules[0].matches[0].path.value",
            "`/a(` is not a regular expression (RE2 syntax): unclosed group",
        ),
        (
            "matches: [{path: {type: RegularExpression, value: 'a)|(b'}}]".to_owned(),
            "spec.rules[0].matches[0].path.value",
            "is not a regular expression",
        ),
        (
            "matches: [{path: {type: RegularExpression, value: '(?=x)'}}]".to_owned(),
            "spec.rules[0].matches[0].path.value",
            "look-around",
        ),
        (
            "matches: [{path: {type: RegularExpression, value: '(a{1000}){1000}'}}]".to_owned(),
            "spec.rules[0].matches[0].path.value",
            "is not a regular expression",
        ),
    ];
    for (fields, path, words) in cases {
        assert_problem(&[GATEWAY, POOL, &rule(&fields)], "error", path, words);
    }
}

#[test]
fn faults_of_other_conditions_and_of_times_are_found() {
    let cases = [
        (
            "matches: [{headers: [{name: 'x y', value: a}]}]",
            "spec.rules[0].matches[0].headers[0].name",
            "`x y` is not a header name",
        ),
        (
            "matches: [{headers: [{name: x, type: RegularExpression, value: '['}]}]",
            "spec.rules[0].matches[0].headers[0].value",
            "is not a regular expression",
        ),
        (
            "matches: [{headers: [{name: x, value: a}, {name: x, value: b}]}]",
            "spec.rules[0].matches[0].headers[1].name",
            "`x` is already given",
        ),
        (
            "matches: [{queryParams: [{name: q, type: RegularExpression, value: '*'}]}]",
            "spec.rules[0].matches[0].queryParams[0].value",
            "is not a regular expression",
        ),
        (
            "matches: [{method: FETCH}]",
            "spec.rules[0].matches[0].method",
            "unknown variant `FETCH`",
        ),
        (
            "timeouts: {request: 1.5s}",
            "spec.rules[0].timeouts.request",
            "`1.5s` is not a duration",
        ),
        (
            "timeouts: {request: 1s, backendRequest: 2s}",
            "spec.rules[0].timeouts.backendRequest",
            "`2s` is longer than the request timeout `1s`",
        ),
        (
            "retry: {codes: [200]}",
            "spec.rules[0].retry.codes[0]",
            "400 to 599",
        ),
        (
            "retry: {backoff: soon}",
            "spec.rules[0].retry.backoff",
            "`soon` is not a duration",
        ),
        (
            "sessionPersistence: {type: Cookie}",
            "spec.rules[0].sessionPersistence",
            "unknown field",
        ),
    ];
    for (fields, path, words) in cases {
        assert_problem(&[GATEWAY, POOL, &rule(fields)], "error", path, words);
    }
    let same = rule("matches: [{headers: [{name: x-a, value: a}, {name: X-A, value: b}]}]");
    assert_problem(
        &[GATEWAY, POOL, &same],
        "warning",
        "spec.rules[0].matches[0].headers[1].name",
        "already matched on",
    );
}

#[test]
fn too_many_matches_are_counted_over_all_rules() {
    let matches = vec!["{method: GET}"; 64].join(", ");
    let two = format!("[{{matches: [{matches}], {TO_POOL}}}, {{matches: [{matches}], {TO_POOL}}}]");
    clean(&[GATEWAY, POOL, &route(&two)]);
    let three = two.replace("}]}]", &format!("}}]}}, {{{TO_POOL}}}]"));
    assert_problem(
        &[GATEWAY, POOL, &route(&three)],
        "error",
        "spec.rules",
        "hold 129 matches together, want at most 128",
    );
}

#[test]
fn filters_are_read_in_order() {
    let text = rule(
        "filters: [
          {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: '1'}], add: [{name: b, value: '2'}], remove: [c]}},
          {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Server]}},
          {type: URLRewrite, urlRewrite: {hostname: in.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}},
          {type: RequestMirror, requestMirror: {backendRef: {group: inference.networking.k8s.io, kind: InferencePool, name: pool}, percent: 25}},
          {type: RequestMirror, requestMirror: {backendRef: {group: inference.networking.k8s.io, kind: InferencePool, name: pool}, fraction: {numerator: 1, denominator: 1000}}},
          {type: CORS, cors: {allowOrigins: ['https://*.example.com:8443', 'http://localhost'], allowMethods: ['*'], allowHeaders: [x-a], maxAge: 60}}]",
    );
    let snapshot = clean(&[GATEWAY, POOL, &text]);
    let filters = &only_rule(&snapshot).filters;
    assert!(
        matches!(&filters[0], Filter::RequestHeaders(change) if change.set.len() == 1 && change.add.len() == 1 && change.remove[0] == "c")
    );
    assert!(matches!(&filters[1], Filter::ResponseHeaders(change) if change.remove[0] == "server"));
    assert!(
        matches!(&filters[2], Filter::Rewrite(rewrite) if rewrite.hostname.as_deref() == Some("in.example")
        && rewrite.path == Some(PathChange::ReplacePrefix("/x".into())))
    );
    let Filter::Mirror(quarter) = &filters[3] else {
        panic!("no mirror: {filters:?}")
    };
    assert!(quarter.takes(0) && quarter.takes(u64::MAX / 4) && !quarter.takes(u64::MAX / 4 + 2));
    assert!(
        matches!(&filters[4], Filter::Mirror(mirror) if (mirror.numerator, mirror.denominator) == (1, 1000))
    );
    let Filter::Cors(cors) = &filters[5] else {
        panic!("no cors: {filters:?}")
    };
    assert_eq!(
        cors.origins[0],
        CorsOrigin::Wildcard {
            prefix: "https://".into(),
            suffix: ".example.com:8443".into()
        }
    );
    assert_eq!(
        (
            cors.methods.is_none(),
            cors.expose_headers.as_deref(),
            cors.max_age.as_secs()
        ),
        (true, Some(&[][..]), 60)
    );

    let text = route(
        "[{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 308}}]}]",
    );
    let snapshot = clean(&[GATEWAY, &text]);
    assert!(
        matches!(&only_rule(&snapshot).filters[0], Filter::Redirect(redirect)
        if redirect.scheme == Some(Scheme::Https) && redirect.port == Some(8443) && redirect.status == 308)
    );
}

#[test]
fn filters_of_a_backend_are_its_own() {
    let text = route(&format!("[{{{}}}]", TO_POOL.replace("name: pool", "name: pool, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}]")));
    let snapshot = clean(&[GATEWAY, POOL, &text]);
    let rule = only_rule(&snapshot);
    assert!(rule.filters.is_empty() && rule.backends[0].filters.len() == 1);
}

#[test]
fn faults_of_filters_are_found() {
    let redirect = "{type: RequestRedirect, requestRedirect: {}}";
    let rewrite = "{type: URLRewrite, urlRewrite: {hostname: a.b}}";
    let replace = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}";
    let mirror =
        "backendRef: {group: inference.networking.k8s.io, kind: InferencePool, name: pool}";
    let cases = [
        (format!("filters: [{redirect}]"), "spec.rules[0].backendRefs", "beside a RequestRedirect"),
        (format!("filters: [{redirect}, {rewrite}]"), "spec.rules[0].filters", "both RequestRedirect and URLRewrite"),
        (format!("filters: [{rewrite}, {rewrite}]"), "spec.rules[0].filters[1].type", "URLRewrite is given twice"),
        (format!("matches: [{{path: {{type: Exact, value: /a}}}}], filters: [{replace}]"), "spec.rules[0].filters[0].urlRewrite.path.type", "exactly one match"),
        (format!("matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}], filters: [{replace}]"), "spec.rules[0].filters[0].urlRewrite.path.type", "exactly one match"),
        ("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /x}}}]".to_owned(), "spec.rules[0].filters[0].urlRewrite.path.replaceFullPath", "is missing"),
        ("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '/a b'}}}]".to_owned(), "spec.rules[0].filters[0].urlRewrite.path.replaceFullPath", "`/a b` is not a path"),
        ("filters: [{type: URLRewrite}]".to_owned(), "spec.rules[0].filters[0].urlRewrite", "is missing, want it for a filter of type URLRewrite"),
        ("filters: [{type: CORS, cors: {}, urlRewrite: {}}]".to_owned(), "spec.rules[0].filters[0].urlRewrite", "does not belong to a filter of type CORS"),
        ("filters: [{type: ExternalAuth}]".to_owned(), "spec.rules[0].filters[0].type", "unknown variant `ExternalAuth`"),
        ("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: \"x\\ny\"}]}}]".to_owned(), "spec.rules[0].filters[0].requestHeaderModifier.set[0].value", "control character"),
        ("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: ['a b']}}]".to_owned(), "spec.rules[0].filters[0].requestHeaderModifier.remove[0]", "`a b` is not a header name"),
        (format!("filters: [{{type: RequestMirror, requestMirror: {{{mirror}, percent: 1, fraction: {{numerator: 1}}}}}}]"), "spec.rules[0].filters[0].requestMirror", "both percent and fraction"),
        (format!("filters: [{{type: RequestMirror, requestMirror: {{{mirror}, fraction: {{numerator: 3, denominator: 2}}}}}}]"), "spec.rules[0].filters[0].requestMirror.fraction.numerator", "`3` is more than the denominator 2"),
        ("filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}}}]".to_owned(), "spec.rules[0].filters[0].requestMirror.backendRef.port", "is missing"),
        ("filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a']}}]".to_owned(), "spec.rules[0].filters[0].cors.allowOrigins", "holds `*` beside other values"),
        ("filters: [{type: CORS, cors: {allowMethods: [FETCH]}}]".to_owned(), "spec.rules[0].filters[0].cors.allowMethods", "unknown method"),
        ("filters: [{type: CORS, cors: {allowOrigins: ['example.com']}}]".to_owned(), "spec.rules[0].filters[0].cors.allowOrigins[0]", "`example.com` is not an origin"),
    ];
    for (fields, path, words) in cases {
        assert_problem(&[GATEWAY, POOL, &rule(&fields)], "error", path, words);
    }
    let text = route(
        "[{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200, hostname: '*.a'}}]}]",
    );
    assert_problem(
        &[GATEWAY, &text],
        "error",
        "spec.rules[0].filters[0].requestRedirect.statusCode",
        "`200` is not supported",
    );
    assert_problem(
        &[GATEWAY, &text],
        "error",
        "spec.rules[0].filters[0].requestRedirect.hostname",
        "`*.a` is not a hostname",
    );
}

#[test]
fn an_unknown_filter_is_never_skipped() {
    let text =
        rule("filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: K, name: n}}]");
    assert_problem(
        &[GATEWAY, POOL, &text],
        "warning",
        "spec.rules[0].filters[0].extensionRef",
        "get a 500",
    );
    let (snapshot, _) = built(&[GATEWAY, POOL, &text]);
    assert!(matches!(
        only_rule(&snapshot).filters[0],
        Filter::Invalid(_)
    ));
}

#[test]
fn backends_that_lead_nowhere_are_warnings_and_stay() {
    let of = |reference: &str| route(&format!("[{{backendRefs: [{{{reference}}}]}}]"));
    let pool = "group: inference.networking.k8s.io, kind: InferencePool";
    let cases = [
        (
            format!("{pool}, name: gone"),
            "warning",
            "spec.rules[0].backendRefs[0]",
            "InferencePool default/gone is not among the manifests",
        ),
        (
            format!("{pool}, name: pool, namespace: other"),
            "warning",
            "spec.rules[0].backendRefs[0]",
            "no ReferenceGrant",
        ),
        (
            "group: inference.networking.x-k8s.io, kind: InferencePool, name: pool".to_owned(),
            "warning",
            "spec.rules[0].backendRefs[0]",
            "other API group",
        ),
        (
            "group: a.b, kind: K, name: x".to_owned(),
            "warning",
            "spec.rules[0].backendRefs[0]",
            "cannot be a backend",
        ),
        (
            "name: s".to_owned(),
            "error",
            "spec.rules[0].backendRefs[0].port",
            "is missing",
        ),
        (
            "name: s, port: 0".to_owned(),
            "error",
            "spec.rules[0].backendRefs[0].port",
            "`0` is out of range",
        ),
        (
            format!("{pool}, name: pool, weight: 1000001"),
            "error",
            "spec.rules[0].backendRefs[0].weight",
            "want 0 to 1000000",
        ),
    ];
    for (reference, severity, path, words) in cases {
        assert_problem(&[GATEWAY, POOL, &of(&reference)], severity, path, words);
    }
    // A port on a pool says nothing (conformance InferencePoolHTTPRoutePortValidation).
    clean(&[
        GATEWAY,
        POOL,
        &of(&format!("{pool}, name: pool, port: 9999")),
    ]);
    assert_problem(
        &[GATEWAY, &route("[{matches: []}]")],
        "warning",
        "spec.rules[0]",
        "get a 500",
    );
}

#[test]
fn grants_open_other_namespaces() {
    let other = POOL.replace("{name: pool}", "{name: pool, namespace: other}");
    let text = route(&format!(
        "[{{{}}}]",
        TO_POOL.replace("name: pool", "name: pool, namespace: other")
    ));
    let grant = |namespace: &str, from: &str, to: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {namespace}}}\nspec: {{from: [{{{from}}}], to: [{{{to}}}]}}"
        )
    };
    let from = "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default";
    let to = "group: inference.networking.k8s.io, kind: InferencePool";
    for good in [
        grant("other", from, to),
        grant("other", from, &format!("{to}, name: pool")),
    ] {
        let snapshot = clean(&[GATEWAY, &other, &text, &good]);
        assert!(matches!(
            only_rule(&snapshot).backends[0].target,
            BackendTarget::Pool(_)
        ));
    }
    let bad = [
        grant("default", from, to),
        grant(
            "other",
            &from.replace("namespace: default", "namespace: third"),
            to,
        ),
        grant("other", &from.replace("HTTPRoute", "GRPCRoute"), to),
        grant("other", from, "group: '', kind: Service"),
        grant("other", from, &format!("{to}, name: another")),
    ];
    for grant in bad {
        let (snapshot, problems) = built(&[GATEWAY, &other, &text, &grant]);
        assert_eq!(problems.len(), 1, "{}", show(&problems));
        assert!(
            problems[0].message.contains("add one in namespace other"),
            "{}",
            problems[0]
        );
        assert!(matches!(
            only_rule(&snapshot).backends[0].target,
            BackendTarget::Invalid(_)
        ));
    }
}
