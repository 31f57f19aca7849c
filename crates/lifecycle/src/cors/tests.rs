use std::time::Duration;

use super::*;

fn policy(origins: Vec<CorsOrigin>, allow_credentials: bool) -> Cors {
    Cors {
        origins,
        allow_credentials,
        methods: Some(vec![Method::GET, Method::POST]),
        headers: None,
        expose_headers: Some(vec!["x-request-id".parse().unwrap()]),
        max_age: Duration::from_secs(600),
    }
}

fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri("/");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://app.example.com"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization"),
];

#[test]
fn preflights_of_allowed_origins_get_the_policy() {
    let wildcard = CorsOrigin::Wildcard {
        prefix: "https://".into(),
        suffix: ".example.com".into(),
    };
    let reply = preflight(&policy(vec![wildcard], true), &parts("OPTIONS", &PREFLIGHT)).unwrap();
    assert_eq!(
        reply.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    assert_eq!(reply.headers["access-control-allow-methods"], "GET, POST");
    assert_eq!(
        reply.headers["access-control-allow-headers"],
        "authorization"
    );
    assert_eq!(reply.headers["access-control-allow-credentials"], "true");
    assert_eq!(reply.headers["access-control-max-age"], "600");
}

#[test]
fn other_origins_get_no_cors_headers() {
    for origin in [
        CorsOrigin::Exact("https://other.example.com".into()),
        CorsOrigin::Wildcard {
            prefix: "https://".into(),
            suffix: ".app.example.com".into(),
        },
        CorsOrigin::Wildcard {
            prefix: "http://".into(),
            suffix: ".example.com".into(),
        },
    ] {
        let reply = preflight(
            &policy(vec![origin.clone()], false),
            &parts("OPTIONS", &PREFLIGHT),
        )
        .unwrap();
        assert!(reply.headers.is_empty(), "{origin:?}");
    }
}

#[test]
fn requests_that_are_no_preflights_are_not_answered() {
    let any = policy(vec![CorsOrigin::Any], false);
    assert!(preflight(&any, &parts("POST", &PREFLIGHT)).is_none());
    assert!(preflight(&any, &parts("OPTIONS", &PREFLIGHT[..1])).is_none());
}

#[test]
fn answers_name_the_origin_with_credentials_and_a_star_without() {
    for (credentials, value) in [(false, "*"), (true, "https://app.example.com")] {
        let mut headers = HeaderMap::new();
        let origin = HeaderValue::from_static("https://app.example.com");
        decorate(
            &policy(vec![CorsOrigin::Any], credentials),
            Some(&origin),
            &mut headers,
        );
        assert_eq!(headers["access-control-allow-origin"], value);
        assert_eq!(headers["access-control-expose-headers"], "x-request-id");
    }
}
