//! Timeouts of routes. They are real time; nothing here measures it.

use lifecycle::{AttemptFailure, Ending, Reason};

use crate::support::manifests::{one_pool, one_service};
use crate::support::{
    CHAT, Client, DONE, House, Upstream, chat, chat_stream, event, get, post, within,
};

#[tokio::test]
async fn before_the_first_byte_the_answer_is_504() {
    let silent = Upstream::scripted(|request| async move {
        let _request = request;
        std::future::pending().await
    })
    .await;
    let (head_only, mut feeds) = Upstream::held("text/event-stream").await;
    for rule in [
        ", timeouts: {request: 50ms}",
        ", timeouts: {request: 20s, backendRequest: 50ms}",
    ] {
        for port in [silent.port, head_only.port] {
            let house = House::start(&one_pool(&[port], rule));
            for mut client in [
                Client::http1(house.http()).await,
                Client::h2c(house.http()).await,
            ] {
                let got = client.ask(post(CHAT, chat_stream("m"))).await;
                assert_eq!(got.status, 504);
                assert_eq!(got.header("x-plimsoll-reason"), "timeout");
            }
            house.idle().await;
            for end in house.ended(2).await {
                assert_eq!(end.ending, Ending::Refused(Reason::Timeout));
            }
        }
        for _ in 0..2 {
            within(feeds.recv()).await.unwrap().dropped().await;
        }
        let house = House::start(&one_service(&[silent.port], rule));
        let mut client = Client::http1(house.http()).await;
        assert_eq!(client.ask(get("/")).await.status, 504);
    }
}

#[tokio::test]
async fn after_the_first_byte_a_stream_ends_in_an_error_event() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    // Long enough for the first event to come through on a busy machine.
    let house = House::start(&one_pool(&[upstream.port], ", timeouts: {request: 2s}"));
    let answer = Client::http1(house.http())
        .await
        .spawn(post(CHAT, chat_stream("m")));
    let hand = within(feeds.recv()).await.unwrap();
    hand.data(event("m", "one")).await;
    let got = within(answer).await.unwrap().unwrap();
    assert!(got.text().starts_with(&event("m", "one")));
    assert!(
        got.text().contains("\"timeout\"") && got.text().ends_with(DONE),
        "{}",
        got.text()
    );
    hand.dropped().await;
    house.idle().await;
}

#[tokio::test]
async fn a_stream_that_never_pauses_ends_at_its_deadline_too() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ", timeouts: {request: 500ms}"));
    let answer = Client::http1(house.http())
        .await
        .spawn(post(CHAT, chat_stream("m")));
    let hand = within(feeds.recv()).await.unwrap();
    within(async { while hand.data(event("m", "one")).await {} }).await;
    let got = within(answer).await.unwrap().unwrap();
    assert!(got.text().contains("\"timeout\""));
}

#[tokio::test]
async fn an_answer_that_is_no_stream_breaks_off_at_its_deadline() {
    let (upstream, mut feeds) = Upstream::held("text/plain").await;
    let house = House::start(&one_service(
        &[upstream.port],
        ", timeouts: {request: 200ms}",
    ));
    let answer = Client::http1(house.http()).await.spawn(get("/"));
    let hand = within(feeds.recv()).await.unwrap();
    hand.data("part").await;
    // Head and part may both come, or neither on a slow machine; a whole answer may not.
    match within(answer).await.unwrap() {
        Ok(got) => assert_eq!(got.status, 504),
        Err(_) => assert_eq!(
            house.ended(1).await[0].ending,
            Ending::Refused(Reason::Timeout)
        ),
    }
    hand.dropped().await;
}

#[tokio::test]
async fn the_time_of_an_attempt_ends_and_the_next_endpoint_serves() {
    let (slow, mut feeds) = Upstream::held("application/json").await;
    let good = Upstream::named("hello").await;
    let rule = ", timeouts: {request: 20s, backendRequest: 100ms}, retry: {codes: [504], attempts: 1, backoff: 1ms}";
    let house = House::start(&one_pool(&[slow.port, good.port], rule));
    let load = house.prefer(slow.port);
    let mut client = Client::http1(house.http()).await;
    assert_eq!(client.ask(post(CHAT, chat("m"))).await.text(), "hello");
    within(feeds.recv()).await.unwrap().dropped().await;
    assert_eq!(house.ended(1).await[0].failed, [AttemptFailure::Timeout]);
    drop(load);
    house.idle().await;
}

#[tokio::test]
async fn the_pause_before_a_retry_does_not_outlast_the_request() {
    let busy = Upstream::answering(|_| {
        http::Response::builder()
            .status(500)
            .body(crate::support::empty())
            .unwrap()
    })
    .await;
    let rule = ", timeouts: {request: 100ms}, retry: {codes: [500], attempts: 1, backoff: 1h}";
    let house = House::start(&one_service(&[busy.port], rule));
    let mut client = Client::http1(house.http()).await;
    assert_eq!(client.ask(get("/")).await.status, 504);
}
