//! The next endpoint takes over where the first cannot serve, and the books follow the one that does.

use http::Response;
use lifecycle::{AttemptFailure, Ending, Reason};

use crate::support::manifests::{one_pool, one_service};
use crate::support::raw::Refusing;
use crate::support::{
    CHAT, Client, DONE, House, Upstream, chat, chat_stream, empty, event, full, get, post, within,
};

/// Takes the request, sends `answer`, and resets the connection.
async fn dying(answer: &'static str) -> Upstream {
    Upstream::raw(move |mut wire| async move {
        wire.read_request().await;
        wire.write(answer).await;
        wire.reset();
    })
    .await
}

async fn unavailable() -> Upstream {
    Upstream::answering(|_| Response::builder().status(503).body(full("busy")).unwrap()).await
}

#[tokio::test]
async fn the_next_endpoint_serves_before_the_first_byte() {
    let refusing = Refusing::new();
    let silent = dying("").await;
    let head_only = dying("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
    let busy = unavailable().await;
    for (port, cause) in [
        (refusing.port, AttemptFailure::Connect),
        (silent.port, AttemptFailure::Broken),
        (head_only.port, AttemptFailure::Broken),
        (busy.port, AttemptFailure::Status(503)),
    ] {
        let (good, mut feeds) = Upstream::held("text/event-stream").await;
        let house = House::start(&one_pool(&[port, good.port], ""));
        let load = house.prefer(port);
        let answer = Client::http1(house.http())
            .await
            .spawn(post(CHAT, chat_stream("m")));
        let hand = within(feeds.recv()).await.unwrap();
        for endpoint in house.endpoints() {
            let serves = endpoint.address().port() == good.port;
            // Beside the load this test put there.
            let expected = if serves { 2 } else { 0 };
            assert_eq!(endpoint.ledger().view().requests, expected, "{cause:?}");
        }
        hand.data(event("m", "x")).await;
        hand.data(DONE).await;
        drop(hand);
        let got = within(answer).await.unwrap().unwrap();
        assert_eq!(got.status, 200);
        assert_eq!(got.text(), event("m", "x") + DONE);
        drop(load);
        house.idle().await;
        let end = &house.ended(1).await[0];
        assert_eq!(
            (end.ending, &end.failed[..]),
            (Ending::Completed, &[cause][..])
        );
        let served = end.served.clone().unwrap();
        let good = house
            .endpoints()
            .into_iter()
            .find(|endpoint| endpoint.address().port() == good.port)
            .unwrap();
        assert_eq!(&served, good.name());
    }
}

#[tokio::test]
async fn after_the_first_byte_there_is_no_other_endpoint() {
    let bytes = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n";
    let broken = dying(bytes).await;
    let good = Upstream::named("hello").await;
    let house = House::start(&one_pool(&[broken.port, good.port], ""));
    let _load = house.prefer(broken.port);
    let mut client = Client::http1(house.http()).await;
    let got = client.ask(post(CHAT, chat_stream("m"))).await;
    assert!(got.text().starts_with("data: {}\n\n"), "{}", got.text());
    assert!(got.text().contains("upstream_failed"), "{}", got.text());
    assert_eq!(good.opened(), 0);
}

#[tokio::test]
async fn when_nobody_serves_the_client_is_told_how_it_went() {
    let (one, two) = (Refusing::new(), Refusing::new());
    let house = House::start(&one_pool(&[one.port, two.port], ""));
    let mut client = Client::http1(house.http()).await;
    let got = client.ask(post(CHAT, chat("m"))).await;
    assert_eq!(got.status, 502);
    assert!(
        got.text().contains("2 of 2 candidate endpoints"),
        "{}",
        got.text()
    );
    house.idle().await;
    let end = &house.ended(1).await[0];
    assert_eq!(end.ending, Ending::Refused(Reason::UpstreamUnreachable));
    assert_eq!(end.failed.len(), 2);

    // The last word of a busy pool is the model server's own.
    let (one, two) = (unavailable().await, unavailable().await);
    let house = House::start(&one_pool(&[one.port, two.port], ""));
    let mut client = Client::http1(house.http()).await;
    let got = client.ask(post(CHAT, chat("m"))).await;
    assert_eq!((got.status.as_u16(), got.text()), (503, "busy"));
    house.idle().await;
}

#[tokio::test]
async fn a_streamed_body_is_sent_elsewhere_only_if_the_connection_was_refused() {
    let refusing = Refusing::new();
    let mut good = Upstream::named("hello").await;
    let house = House::start(&one_service(&[refusing.port, good.port], ""));
    // Each endpoint has its turn to be the first.
    for _ in 0..2 {
        let mut client = Client::http1(house.http()).await;
        assert_eq!(client.ask(post("/", "body")).await.text(), "hello");
        assert_eq!(good.seen().await.text(), "body");
    }

    let broken = dying("").await;
    let house = House::start(&one_service(&[broken.port, good.port], ""));
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let mut client = Client::http1(house.http()).await;
        statuses.push(client.ask(post("/", "body")).await.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    assert_eq!(broken.opened(), 1);

    // RFC 9110 §9.2.2: without a body, and with a method that may be repeated, it is.
    let broken = dying("").await;
    let house = House::start(&one_service(&[broken.port, good.port], ""));
    for _ in 0..2 {
        let mut client = Client::http1(house.http()).await;
        assert_eq!(client.ask(get("/")).await.text(), "hello");
    }
    assert_eq!(broken.opened(), 1);
}

/// Answers 500 to so many requests, then 200.
async fn failing(times: usize) -> Upstream {
    let left = std::sync::atomic::AtomicUsize::new(times);
    Upstream::answering(move |_| {
        let order = std::sync::atomic::Ordering::SeqCst;
        let fails = left
            .fetch_update(order, order, |left| left.checked_sub(1))
            .is_ok();
        let status = if fails { 500 } else { 200 };
        Response::builder().status(status).body(empty()).unwrap()
    })
    .await
}

#[tokio::test]
async fn gep1731_a_route_retries_the_codes_it_lists_as_often_as_it_says() {
    let retry = ", retry: {codes: [500], attempts: 2, backoff: 1ms}";
    for (failures, status, requests) in [(2, 200, 3), (3, 500, 3)] {
        let one = failing(failures).await;
        let house = House::start(&one_service(&[one.port], retry));
        let mut client = Client::http1(house.http()).await;
        assert_eq!(client.ask(get("/")).await.status, status);
        assert_eq!(one.waiting(), requests);

        let one = failing(failures).await;
        let house = House::start(&one_pool(&[one.port], retry));
        let mut client = Client::http1(house.http()).await;
        assert_eq!(client.ask(post(CHAT, chat("m"))).await.status, status);
        assert_eq!(one.waiting(), requests);
        house.idle().await;
    }
    let one = failing(1).await;
    let house = House::start(&one_service(
        &[one.port],
        ", retry: {codes: [502], attempts: 2}",
    ));
    let mut client = Client::http1(house.http()).await;
    assert_eq!(client.ask(get("/")).await.status, 500);
}
