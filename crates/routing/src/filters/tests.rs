use super::*;
use crate::{ModelView, RequestView};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use resources::{Redirect, Rewrite, Scheme};

fn prefix(path: &str) -> RouteMatch {
    RouteMatch {
        path: PathMatch::Prefix(path.trim_end_matches('/').into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (name.parse().expect("name"), value.parse().expect("value"))
}

fn applied(filters: &[Filter], matched: &RouteMatch, path: &str) -> (String, Option<Arc<str>>) {
    let mut headers = HeaderMap::new();
    let mut parts = RequestParts {
        path: path.to_owned(),
        query: None,
        host: None,
        headers: &mut headers,
    };
    apply_request_filters(filters, matched, &mut parts).expect("filters apply");
    (parts.path, parts.host)
}

/// The table in the documentation of `HTTPPathModifier`.
#[test]
fn a_replaced_prefix_keeps_the_rest() {
    let cases = [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ("/", "/", "/xyz", "/xyz/"),
    ];
    for (path, matched, replacement, want) in cases {
        let change = PathChange::ReplacePrefix(replacement.into());
        assert_eq!(
            changed_path(&change, &prefix(matched), path),
            want,
            "{path} {matched} {replacement}"
        );
    }
}

#[test]
fn rewrites_change_path_and_host() {
    let rewrite = Filter::Rewrite(Rewrite {
        hostname: Some("inner.example".into()),
        path: Some(PathChange::ReplaceFull("/v2/chat".into())),
    });
    let (path, host) = applied(&[rewrite], &prefix("/"), "/v1/chat?no");
    assert_eq!(
        (path.as_str(), host.as_deref()),
        ("/v2/chat", Some("inner.example"))
    );
}

#[test]
fn headers_are_set_added_and_removed_in_order() {
    let change = HeaderChange {
        set: vec![header("x-set", "new"), header("host", "other.example")],
        add: vec![header("x-add", "b")],
        remove: vec![HeaderName::from_static("x-gone")],
    };
    let mut headers: HeaderMap = [
        header("x-set", "old"),
        header("x-add", "a"),
        header("x-gone", "1"),
        header("x-kept", "1"),
    ]
    .into_iter()
    .collect();
    let filters = [Filter::RequestHeaders(change.clone())];
    let mut parts = RequestParts {
        path: "/".to_owned(),
        query: None,
        host: None,
        headers: &mut headers,
    };
    apply_request_filters(&filters, &prefix("/"), &mut parts).expect("filters apply");
    assert_eq!(parts.host.as_deref(), Some("other.example"));
    assert_eq!(headers["x-set"], "new");
    assert_eq!(
        headers.get_all("x-add").iter().collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert!(!headers.contains_key("x-gone") && headers.contains_key("x-kept"));

    let mut response = HeaderMap::new();
    apply_response_filters(&filters, &mut response);
    assert!(
        response.is_empty(),
        "a filter for requests leaves responses alone"
    );
    apply_response_filters(&[Filter::ResponseHeaders(change)], &mut response);
    assert_eq!(response["x-set"], "new");
}

#[test]
fn an_invalid_filter_stops_the_request() {
    let filters = [Filter::Invalid("ExtensionRef".into())];
    let mut headers = HeaderMap::new();
    let mut parts = RequestParts {
        path: "/".to_owned(),
        query: None,
        host: None,
        headers: &mut headers,
    };
    let result = apply_request_filters(&filters, &prefix("/"), &mut parts);
    assert!(matches!(result, Err(FilterError::Invalid(_))));
}

#[test]
fn mirrors_without_backend_are_dropped() {
    let mirror = |target| {
        Filter::Mirror(Mirror {
            target,
            numerator: 1,
            denominator: 1,
        })
    };
    let filters = [mirror(BackendTarget::Invalid("gone".into()))];
    let mut headers = HeaderMap::new();
    let mut parts = RequestParts {
        path: "/".to_owned(),
        query: None,
        host: None,
        headers: &mut headers,
    };
    let mirrors = apply_request_filters(&filters, &prefix("/"), &mut parts).expect("filters apply");
    assert!(mirrors.is_empty());
}

/// `HTTPRequestRedirectFilter`: which port a `Location` names.
#[test]
fn locations_name_the_port_that_is_needed() {
    let plain = Redirect {
        scheme: None,
        hostname: None,
        path: None,
        port: None,
        status: StatusCode::FOUND,
    };
    let to = |scheme| Redirect {
        scheme: Some(scheme),
        ..plain.clone()
    };
    let port = |port| Redirect {
        port: Some(port),
        ..plain.clone()
    };
    let cases = [
        (plain.clone(), 80, false, "http://a.example/x?q=1"),
        (plain.clone(), 8080, false, "http://a.example:8080/x?q=1"),
        (plain.clone(), 443, true, "https://a.example/x?q=1"),
        (plain.clone(), 8443, true, "https://a.example:8443/x?q=1"),
        (to(Scheme::Https), 8080, false, "https://a.example/x?q=1"),
        (to(Scheme::Http), 8443, true, "http://a.example/x?q=1"),
        (port(80), 8080, false, "http://a.example/x?q=1"),
        (port(443), 8443, true, "https://a.example/x?q=1"),
        (port(443), 80, false, "http://a.example:443/x?q=1"),
        (
            Redirect {
                hostname: Some("b.example".into()),
                ..to(Scheme::Https)
            },
            80,
            false,
            "https://b.example/x?q=1",
        ),
        (
            Redirect {
                path: Some(PathChange::ReplacePrefix("/y".into())),
                ..plain.clone()
            },
            80,
            false,
            "http://a.example/y?q=1",
        ),
    ];
    let headers = HeaderMap::new();
    for (filter, port, tls, want) in cases {
        let request = RequestView {
            port,
            sni: None,
            host: "a.example:9999",
            method: &Method::GET,
            path: "/x",
            query: Some("q=1"),
            headers: &headers,
            model: ModelView::Absent,
        };
        let (status, location) = redirect(&filter, &prefix("/x"), &request, tls);
        assert_eq!(
            (status.as_u16(), location.as_str()),
            (302, want),
            "{filter:?} port {port}"
        );
    }
}
