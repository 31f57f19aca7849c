//! What head reaches the model server, and what head the client.

use crate::support::manifests::{one_pool, one_service};
use crate::support::raw::Wire;
use crate::support::{CHAT, Client, House, Upstream, chat, get, post};

#[tokio::test]
async fn rfc9110_7_6_1_hop_by_hop_headers_end_at_the_gateway() {
    let mut upstream = Upstream::named("hello").await;
    let house = House::start(&one_service(&[upstream.port], ""));
    let mut wire = Wire::connect(house.http()).await;
    wire.write(
        "GET /x HTTP/1.1\r\nHost: b.example\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: gzip\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\
         Upgrade: websocket\r\nAuthorization: Bearer key\r\nX-Other: 2\r\n\r\n",
    )
    .await;
    wire.read_until("hello").await;
    let seen = upstream.seen().await;
    for name in [
        "x-mine",
        "keep-alive",
        "te",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
        "connection",
    ] {
        assert_eq!(seen.header(name), "", "{name}");
    }
    assert_eq!(seen.header("host"), "b.example");
    assert_eq!(seen.header("authorization"), "Bearer key");
    assert_eq!(seen.header("x-other"), "2");
}

#[tokio::test]
async fn a_client_cannot_have_the_gateways_own_headers_removed() {
    let mut upstream = Upstream::named("hello").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    let body = chat("m");
    let mut wire = Wire::connect(house.http()).await;
    wire.write(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, Traceparent, X-Gateway-Model-Name, Host\r\n\r\n{body}",
        body.len()
    ))
    .await;
    wire.read_until("hello").await;
    let seen = upstream.seen().await;
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-gateway-model-name", "m"),
        ("host", "a.example"),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    assert_eq!(seen.header("x-request-id").len(), 36);
    assert_eq!(seen.header("traceparent").len(), 55);
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_answer_end_at_the_gateway_too() {
    let upstream = Upstream::raw(|mut wire| async move {
        wire.read_request().await;
        wire.write(
            "HTTP/1.1 200 OK\r\nconnection: close, x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\n\
             x-other: 2\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
    })
    .await;
    let house = House::start(&one_service(&[upstream.port], ""));
    let mut client = Client::http1(house.http()).await;
    for _ in 0..2 {
        // The model server closes its connection each time; the client's stays.
        let got = client.ask(get("/")).await;
        assert_eq!((got.header("x-mine"), got.header("keep-alive")), ("", ""));
        assert_eq!((got.header("connection"), got.header("x-other")), ("", "2"));
        assert_eq!(got.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!((got.header("content-length"), got.text()), ("2", "ok"));
    }
}

#[tokio::test]
async fn ids_and_origin_of_a_request_reach_the_model_server() {
    let mut upstream = Upstream::named("hello").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    for mut client in [
        Client::http1(house.http()).await,
        Client::h2c(house.http()).await,
    ] {
        let mut ask = post(CHAT, chat("m"));
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (name, value) in [
            ("x-request-id", "mine"),
            ("traceparent", trace),
            ("tracestate", "vendor=1"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-forwarded-proto", "gopher"),
        ] {
            ask.headers_mut().insert(name, value.parse().unwrap());
        }
        let got = client.ask(ask).await;
        assert_eq!(got.header("x-request-id"), "mine");
        let seen = upstream.seen().await;
        assert_eq!(seen.header("x-request-id"), "mine");
        assert_eq!(seen.header("x-forwarded-for"), "10.1.1.1, 127.0.0.1");
        assert_eq!(seen.header("x-forwarded-proto"), "http");
        assert_eq!(seen.header("tracestate"), "vendor=1");
        let onward = seen.header("traceparent");
        assert_eq!((&onward[..36], &onward[52..]), (&trace[..36], "-01"));
        assert_ne!(
            &onward[36..52],
            &trace[36..52],
            "the gateway is the parent now"
        );

        // Without an id the gateway makes one, and errors carry it as well.
        let got = client.ask(post(CHAT, "{")).await;
        assert_eq!(got.header("x-request-id").len(), 36);
        assert!(
            got.text().contains("invalid_request_body"),
            "{}",
            got.text()
        );
    }
}

#[tokio::test]
async fn rfc9110_10_1_1_the_gateway_itself_answers_expect_100_continue() {
    let mut upstream = Upstream::named("hello").await;
    let body = chat("m");
    for yaml in [
        one_pool(&[upstream.port], ""),
        one_service(&[upstream.port], ""),
    ] {
        let house = House::start(&yaml);
        let mut wire = Wire::connect(house.http()).await;
        wire.write(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
        assert!(wire.read_head().await.starts_with("http/1.1 100 "));
        wire.write(&body).await;
        assert!(wire.read_head().await.starts_with("http/1.1 200 "));
        wire.read_until("hello").await;
        let seen = upstream.seen().await;
        assert_eq!((seen.header("expect"), seen.text()), ("", &*body));
    }
}
