//! Filters, weights and the list of models, as they show on the wire.

use http::Response;

use crate::support::client::request;
use crate::support::manifests::{self, one_service, to_pool, to_service};
use crate::support::{CHAT, Client, House, Upstream, chat, empty, full, get, post, within};

#[tokio::test]
async fn redirects_need_no_backend() {
    let yaml = manifests::http()
        + &manifests::route(
            "{matches: [{path: {value: /old}}], filters: [{type: RequestRedirect, requestRedirect: \
             {scheme: https, hostname: new.example, statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]}",
        );
    let house = House::start(&yaml);
    let mut client = Client::http1(house.http()).await;
    for _ in 0..2 {
        let got = client.ask(post("/old/x?y=1", "a body nobody reads")).await;
        assert_eq!(got.status, 301);
        assert_eq!(got.header("location"), "https://new.example/new/x?y=1");
        assert_eq!(got.header("content-length"), "0");
    }
}

#[tokio::test]
async fn rewrites_and_header_changes_on_the_way() {
    let mut upstream = Upstream::answering(|_| {
        Response::builder()
            .header("x-internal", "1")
            .header("x-kept", "a")
            .body(full("hello"))
            .unwrap()
    })
    .await;
    let rule = ", matches: [{path: {value: /api}}], filters: [\
        {type: URLRewrite, urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}, \
        {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: s}], add: [{name: X-Add, value: b}], remove: [X-Remove]}}, \
        {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Out, value: o}], add: [{name: X-Kept, value: b}], remove: [X-Internal]}}]";
    let house = House::start(&one_service(&[upstream.port], rule));
    let mut client = Client::http1(house.http()).await;
    let headers = [("x-set", "old"), ("x-add", "a"), ("x-remove", "r")];
    let got = client
        .ask(request("GET", "/api/x?y=1", &headers, empty()))
        .await;
    let seen = upstream.seen().await;
    assert_eq!(seen.head.uri, "/v2/x?y=1");
    assert_eq!(seen.header("host"), "inner.example");
    assert_eq!((seen.header("x-set"), seen.header("x-remove")), ("s", ""));
    let added: Vec<_> = seen.head.headers.get_all("x-add").iter().collect();
    assert_eq!(added, ["a", "b"]);
    assert_eq!((got.header("x-out"), got.header("x-internal")), ("o", ""));
    let kept: Vec<_> = got.headers.get_all("x-kept").iter().collect();
    assert_eq!(kept, ["a", "b"]);
}

#[tokio::test]
async fn a_mirror_gets_a_copy_and_nobody_waits_for_it() {
    let mut main = Upstream::named("hello").await;
    let (mut shadow, mut feeds) = Upstream::held("text/plain").await;
    let rule = format!(
        "{{backendRefs: [{}], filters: [{{type: RequestMirror, requestMirror: {{backendRef: {}}}}}]}}",
        to_service("web"),
        to_service("shadow")
    );
    let yaml = [
        manifests::http(),
        manifests::service("web", &[main.port]),
        manifests::service("shadow", &[shadow.port]),
        manifests::route(&rule),
    ]
    .concat();
    let house = House::start(&yaml);
    let mut client = Client::http1(house.http()).await;
    let got = client.ask(post("/x", "body")).await;
    assert_eq!(got.text(), "hello");
    let (first, copy) = (main.seen().await, shadow.seen().await);
    for seen in [&first, &copy] {
        assert_eq!((seen.head.uri.path(), seen.text()), ("/x", "body"));
    }
    assert_eq!(first.header("x-request-id"), copy.header("x-request-id"));
    // The mirror has not answered yet, and the client has its answer.
    drop(within(feeds.recv()).await.unwrap());
    house.idle().await;
}

#[tokio::test]
async fn weights_divide_requests_between_a_pool_and_a_service() {
    let pool = Upstream::named("pool").await;
    let service = Upstream::named("service").await;
    let rule = format!(
        "{{backendRefs: [{{weight: 3, {}, {{weight: 1, {}, {{weight: 0, name: none, port: 80}}]}}",
        to_pool("chat").trim_start_matches('{'),
        to_service("web").trim_start_matches('{'),
    );
    let yaml = [
        manifests::http(),
        manifests::pool("chat", &[pool.port]),
        manifests::service("web", &[service.port]),
        manifests::service("none", &[service.port]),
        manifests::route(&rule),
    ]
    .concat();
    let house = House::start(&yaml);
    let mut client = Client::http1(house.http()).await;
    for _ in 0..400 {
        assert_eq!(client.ask(post(CHAT, chat("m"))).await.status, 200);
    }
    assert_eq!(pool.waiting() + service.waiting(), 400);
    // 300 expected; 8.7 is the standard deviation.
    assert!((255..345).contains(&pool.waiting()), "{}", pool.waiting());
}

#[tokio::test]
async fn cors_preflights_are_answered_here_and_answers_are_marked() {
    let upstream = Upstream::named("hello").await;
    let rule = ", filters: [{type: CORS, cors: {allowOrigins: ['https://app.example'], allowMethods: [POST], allowHeaders: [authorization], maxAge: 60}}]";
    let house = House::start(&one_service(&[upstream.port], rule));
    let mut client = Client::http1(house.http()).await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
    ];
    let got = client
        .ask(request("OPTIONS", CHAT, &preflight, empty()))
        .await;
    assert!(got.status.is_success());
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert_eq!(upstream.opened(), 0);
    for (origin, allowed) in [
        ("https://app.example", "https://app.example"),
        ("https://evil.example", ""),
    ] {
        let ask = request("POST", CHAT, &[("origin", origin)], full("x"));
        let got = client.ask(ask).await;
        assert_eq!(got.text(), "hello");
        assert_eq!(got.header("access-control-allow-origin"), allowed);
    }
}

#[tokio::test]
async fn models_are_listed_for_the_pools_a_host_can_reach() {
    let upstream = Upstream::named("hello").await;
    let named = |pool: &str, model: &str| {
        manifests::rewrite(model, "llama")
            .replace("name: chat", &format!("name: {pool}"))
            .replace("name: canary", &format!("name: of-{pool}"))
    };
    let yaml = [
        manifests::http(),
        manifests::pool("a", &[upstream.port]),
        manifests::pool("b", &[upstream.port]),
        named("a", "model-a"),
        named("b", "model-b"),
        manifests::route_with(
            "a",
            &format!("{{backendRefs: [{}]}}", to_pool("a")),
            ", hostnames: [a.example]",
        ),
        manifests::route_with(
            "b",
            &format!("{{backendRefs: [{}]}}", to_pool("b")),
            ", hostnames: ['*.b.example']",
        ),
    ]
    .concat();
    let house = House::start(&yaml);
    for mut client in [
        Client::http1(house.http()).await,
        Client::h2c(house.http()).await,
    ] {
        for (host, models) in [("a.example", "model-a"), ("x.b.example:80", "model-b")] {
            let ask = request("GET", "/v1/models", &[("host", host)], empty());
            let list: serde_json::Value =
                serde_json::from_slice(&client.ask(ask).await.body).unwrap();
            let ids: Vec<_> = list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|model| model["id"].as_str().unwrap())
                .collect();
            assert_eq!(ids, [models], "{host}");
        }
        let ask = request("GET", "/v1/models", &[("host", "c.example")], empty());
        assert_eq!(client.ask(ask).await.status, 404);
    }
    assert_eq!(upstream.opened(), 0);
    let mut client = Client::http1(house.http()).await;
    let got = client.ask(get("/v1/models/model-b")).await;
    assert_eq!(got.header("x-plimsoll-reason"), "model_not_found");
}
