//! Ports come and go with the configuration, and the gateway goes without cutting anyone off.

use std::time::Duration;

use gateway::ApplyError;
use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::{Sender, absolute, collect};
use crate::support::manifests::{self, one_pool, one_service};
use crate::support::{
    CHAT, Client, DONE, House, Upstream, chat_stream, event, get, house, post, until, within,
};

const LONG: Duration = Duration::from_secs(600);

/// Until nobody listens at `address`.
async fn refused(address: std::net::SocketAddr) {
    within(async { while TcpStream::connect(address).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_shutdown_lets_streams_finish_and_closes_everything_else() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    let address = house.http();
    let mut hands = Vec::new();
    let mut answers = Vec::new();
    for client in [Client::http1(address).await, Client::h2c(address).await] {
        answers.push(client.spawn(post(CHAT, chat_stream("m"))));
        let hand = within(feeds.recv()).await.unwrap();
        hand.data(event("m", "one")).await;
        hands.push(hand);
    }
    let unused = Client::http1(address).await;
    let mut used = Client::http1(address).await;
    assert_eq!(used.ask(get("/v1/models")).await.status, 200);
    until(|| house.gateway.tasks() == 5).await;

    let down = house.shut_down(LONG);
    refused(address).await;
    within(unused.connection).await.unwrap().ok();
    within(used.connection).await.unwrap().unwrap();
    until(|| house.gateway.tasks() == 2).await;
    assert!(!down.is_finished());
    for (hand, answer) in hands.into_iter().zip(answers) {
        hand.data(DONE).await;
        drop(hand);
        let got = within(answer).await.unwrap().unwrap();
        assert_eq!(got.text(), event("m", "one") + DONE);
    }
    assert_eq!(within(down).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_on_a_kept_connection_is_refused_while_draining() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    let mut client = Client::h2c(house.http()).await;
    let Sender::Http2(sender) = &mut client.sender else {
        panic!("speaks HTTP/2");
    };
    let mut late = sender.clone();
    let answer = client.spawn(post(CHAT, chat_stream("m")));
    let hand = within(feeds.recv()).await.unwrap();
    hand.data(event("m", "one")).await;
    house.core.drain();
    let mut ask = post(CHAT, chat_stream("m"));
    absolute(&mut ask);
    let got = collect(within(late.send_request(ask)).await.unwrap())
        .await
        .unwrap();
    assert_eq!(got.status, 503);
    assert_eq!(got.header("x-plimsoll-reason"), "shutting_down");
    hand.data(DONE).await;
    drop(hand);
    assert_eq!(within(answer).await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_shutdown_drops_what_its_patience_did_not_cover() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    let mut streams = Vec::new();
    for mut client in [
        Client::http1(house.http()).await,
        Client::h2c(house.http()).await,
    ] {
        let begin = async {
            let hand = within(feeds.recv()).await.unwrap();
            hand.data(event("m", "one")).await;
            hand
        };
        let mut ask = post(CHAT, chat_stream("m"));
        absolute(&mut ask);
        let (response, hand) = tokio::join!(client.send(ask), begin);
        streams.push((client, response, hand));
    }
    let down = house.shut_down(Duration::from_millis(50));
    assert_eq!(within(down).await.unwrap(), 2);
    for (_client, response, hand) in streams {
        within(response.into_body().collect())
            .await
            .expect_err("a broken stream");
        hand.dropped().await;
    }
    house.idle().await;
    until(|| house.gateway.tasks() == 0).await;
}

fn on_ports(ports: &[u16], upstream: u16) -> String {
    let listeners: Vec<_> = ports
        .iter()
        .map(|port| format!("{{name: p{port}, port: {port}, protocol: HTTP}}"))
        .collect();
    [
        manifests::gateway(&listeners.join(", ")),
        manifests::service("web", &[upstream]),
        manifests::route("{backendRefs: [{name: web, port: 80}]}"),
    ]
    .concat()
}

#[tokio::test]
async fn listeners_come_and_go_with_the_configuration() {
    let upstream = Upstream::named("hello").await;
    let house = House::start(&on_ports(&[80], upstream.port));
    let first = house.http();
    let mut early = Client::http1(first).await;
    assert_eq!(early.ask(get("/")).await.text(), "hello");

    let bound = house.apply(&on_ports(&[80, 81], upstream.port)).unwrap();
    assert_eq!(bound.len(), 2);
    assert_eq!(house.http(), first, "a port that stays is not touched");
    assert_eq!(early.ask(get("/")).await.text(), "hello");
    let second = house.address(81);
    let mut late = Client::http1(second).await;
    assert_eq!(late.ask(get("/")).await.text(), "hello");

    let bound = house.apply(&on_ports(&[81], upstream.port)).unwrap();
    assert_eq!(bound.len(), 1);
    refused(first).await;
    within(early.connection).await.unwrap().unwrap();
    assert_eq!(late.ask(get("/")).await.text(), "hello");
}

#[tokio::test]
async fn a_port_that_is_taken_refuses_the_whole_change() {
    let upstream = Upstream::named("hello").await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = house::options();
    options
        .port_map
        .insert(8443, taken.local_addr().unwrap().port());
    let house = House::with(
        &on_ports(&[80], upstream.port),
        lifecycle::Settings::default(),
        options,
    );
    let before = house.gateway.bound();
    let error = house
        .apply(&on_ports(&[81, 8443], upstream.port))
        .unwrap_err();
    assert!(
        matches!(&error, ApplyError::Bind { address, .. } if *address == taken.local_addr().unwrap())
    );
    assert_eq!(house.gateway.bound(), before);
    assert_eq!(house.gateway.tasks(), 1);
    let mut client = Client::http1(house.http()).await;
    assert_eq!(client.ask(get("/")).await.text(), "hello");

    drop(taken);
    assert_eq!(
        house
            .apply(&on_ports(&[81, 8443], upstream.port))
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn other_routes_take_effect_on_open_connections() {
    let (one, two) = (Upstream::named("one").await, Upstream::named("two").await);
    let house = House::start(&one_service(&[one.port], ""));
    let mut client = Client::http1(house.http()).await;
    assert_eq!(client.ask(get("/")).await.text(), "one");
    house.apply(&one_service(&[two.port], "")).unwrap();
    assert_eq!(client.ask(get("/")).await.text(), "two");
}
