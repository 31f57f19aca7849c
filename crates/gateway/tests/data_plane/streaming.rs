//! Answers flow, are never gathered, and never end as if they were whole when they are not.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lifecycle::{Ending, Reason};
use tokio::sync::Notify;

use crate::support::body::BoxError;
use crate::support::client::{Sender, absolute, collect, piece, request};
use crate::support::manifests::{self, one_pool, one_service};
use crate::support::{
    CHAT, Client, DONE, Feed, House, Out, Upstream, chat, chat_stream, event, feed, full, get,
    post, until, within,
};

/// A client of each protocol.
async fn clients(house: &House) -> [Client; 2] {
    [
        Client::http1(house.http()).await,
        Client::h2c(house.http()).await,
    ]
}

/// Reads on until the answer has come to `end`.
async fn read_to(response: &mut Response<Incoming>, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let piece = piece(response).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

/// Opens a stream, up to its first event.
async fn open_stream(
    client: &mut Client,
    feeds: &mut tokio::sync::mpsc::UnboundedReceiver<Feed>,
) -> (Response<Incoming>, Feed) {
    let mut ask = post(CHAT, chat_stream("m"));
    absolute(&mut ask);
    let begin = async {
        let hand = within(feeds.recv()).await.unwrap();
        assert!(hand.data(event("m", "one")).await);
        hand
    };
    let (mut response, hand) = tokio::join!(client.send(ask), begin);
    assert_eq!(read_to(&mut response, "\n\n").await, event("m", "one"));
    (response, hand)
}

#[tokio::test]
async fn each_event_reaches_the_client_while_the_model_server_holds_the_next() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    for mut client in clients(&house).await {
        let (mut response, hand) = open_stream(&mut client, &mut feeds).await;
        assert_eq!(house.in_flight(), 1);
        hand.data(event("m", "two")).await;
        assert_eq!(read_to(&mut response, "\n\n").await, event("m", "two"));
        hand.data(DONE).await;
        drop(hand);
        assert_eq!(read_to(&mut response, DONE).await, DONE);
        assert_eq!(collect(response).await.unwrap().text(), "");
        house.idle().await;
    }
    let endings: Vec<_> = house.ended(2).await.iter().map(|end| end.ending).collect();
    assert_eq!(endings, [Ending::Completed, Ending::Completed]);
}

const PIECE: usize = 64 << 10;

/// Far more than sockets and libraries hold, as many pieces as are asked for.
struct Flood {
    left: u64,
    made: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
}

impl Flood {
    fn new(bytes: u64) -> Self {
        Self {
            left: bytes,
            made: Arc::default(),
            gone: Arc::default(),
        }
    }
}

impl Body for Flood {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left = self.left.saturating_sub(PIECE as u64);
        self.made.fetch_add(PIECE as u64, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; PIECE])))))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

/// Looks at `count` until it stands still for a while. A busy machine can make it stand still too early,
/// which can hide a gateway that gathers, never accuse one that does not.
async fn standstill(count: &AtomicU64) -> u64 {
    let (mut last, mut still) = (0, 0);
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = count.load(Ordering::SeqCst);
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
    }
    last
}

const FLOOD: u64 = 1 << 30;
/// What kernel buffers of two connections and the libraries may hold together.
const HELD_MAX: u64 = 64 << 20;

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_model_server() {
    let flood = Flood::new(FLOOD);
    let (made, gone) = (flood.made.clone(), flood.gone.clone());
    let flood = std::sync::Mutex::new(Some(flood));
    let upstream = Upstream::answering(move |_| {
        Response::new(flood.lock().unwrap().take().unwrap().boxed_unsync())
    })
    .await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    let mut client = Client::http1(house.http()).await;
    let response = client.send(post(CHAT, chat("m"))).await;
    let held = within(standstill(&made)).await;
    assert!(
        held < HELD_MAX,
        "{held} bytes were taken for a client that reads none"
    );
    drop(response);
    client.connection.abort();
    until(|| gone.load(Ordering::SeqCst)).await;
    house.idle().await;
}

#[tokio::test]
async fn a_model_server_that_stops_reading_stops_the_client() {
    let release = Arc::new(Notify::new());
    let waiting = release.clone();
    let upstream = Upstream::scripted(move |request| {
        let waiting = waiting.clone();
        async move {
            waiting.notified().await;
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(full(bytes.len().to_string()))
        }
    })
    .await;
    let house = House::start(&one_service(&[upstream.port], ""));
    let bytes = 3 * HELD_MAX;
    let flood = Flood::new(bytes);
    let made = flood.made.clone();
    let answer =
        Client::http1(house.http())
            .await
            .spawn(request("POST", "/", &[], flood.boxed_unsync()));
    let held = within(standstill(&made)).await;
    assert!(
        held < HELD_MAX,
        "{held} bytes were taken for a server that reads none"
    );
    release.notify_one();
    let got = within(answer).await.unwrap().unwrap();
    assert_eq!(got.text(), bytes.to_string());
}

/// An upstream that answers with trailers.
async fn with_trailers() -> Upstream {
    Upstream::answering(|_| {
        let (hand, body) = feed();
        tokio::spawn(async move {
            hand.data("{}").await;
            hand.trailers(&[("x-sum", "42")]).await;
        });
        Response::builder()
            .header("trailer", "x-sum")
            .body(body)
            .unwrap()
    })
    .await
}

fn body_with_trailers() -> Out {
    let (hand, body) = feed();
    tokio::spawn(async move {
        hand.data(chat("m")).await;
        hand.trailers(&[("x-check", "7")]).await;
    });
    body
}

#[tokio::test]
async fn rfc9110_6_5_trailers_travel_both_ways_between_all_protocols() {
    for protocol in ["", ", appProtocol: kubernetes.io/h2c"] {
        let mut upstream = with_trailers().await;
        let ports = [upstream.port];
        let yaml = [
            manifests::http(),
            manifests::pool_with("chat", &ports, protocol),
            manifests::service_with("web", &ports, protocol),
            manifests::route(&format!(
                "{{matches: [{{path: {{value: /v1}}}}], backendRefs: [{}]}}, {{backendRefs: [{}]}}",
                manifests::to_pool("chat"),
                manifests::to_service("web")
            )),
        ]
        .concat();
        let house = House::start(&yaml);
        for path in [CHAT, "/streamed"] {
            for mut client in clients(&house).await {
                let mut headers = vec![("te", "trailers"), ("content-type", "application/json")];
                // HTTP/2 need not announce trailers; a body that is held is sent on with an announcement.
                if path != CHAT || matches!(client.sender, Sender::Http1(_)) {
                    headers.push(("trailer", "x-check"));
                }
                let got = client
                    .ask(request("POST", path, &headers, body_with_trailers()))
                    .await;
                let case = format!("{protocol:?} {path} {:?}", got.version);
                let seen = upstream.seen().await;
                assert_eq!(seen.text(), chat("m"), "{case}");
                let check = seen.trailers.expect(&case);
                assert_eq!(check["x-check"], "7", "{case}");
                let sum = got.trailers.expect(&case);
                assert_eq!(sum["x-sum"], "42", "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_frees_everything_and_the_model_server_notices() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    // Over HTTP/1.1 the connection ends, over HTTP/2 only the stream.
    for mut client in clients(&house).await {
        let (response, hand) = open_stream(&mut client, &mut feeds).await;
        assert_eq!(house.in_flight(), 1);
        drop(response);
        if let Sender::Http1(_) = client.sender {
            client.connection.abort();
        }
        hand.dropped().await;
        house.idle().await;
        until(|| upstream.open() == 0).await;
    }
    let endings: Vec<_> = house.ended(2).await.iter().map(|end| end.ending).collect();
    assert_eq!(endings, [Ending::ClientCancelled, Ending::ClientCancelled]);
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_first_byte_frees_everything_too() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    for client in clients(&house).await {
        let http1 = matches!(client.sender, Sender::Http1(_));
        let connection = client.connection.abort_handle();
        let answer = client.spawn(post(CHAT, chat_stream("m")));
        let hand = within(feeds.recv()).await.unwrap();
        assert_eq!(house.in_flight(), 1);
        answer.abort();
        if http1 {
            connection.abort();
        }
        hand.dropped().await;
        house.idle().await;
    }
}

#[tokio::test]
async fn a_stream_without_its_end_marker_ends_in_an_error_event() {
    let (upstream, mut feeds) = Upstream::held("text/event-stream").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    for broken in [false, true] {
        for mut client in clients(&house).await {
            let (response, hand) = open_stream(&mut client, &mut feeds).await;
            // The unfinished event must not swallow the error event.
            hand.data("data: {\"half").await;
            if broken {
                hand.fail().await;
            } else {
                drop(hand);
            }
            let got = collect(response).await.expect("a clean end");
            let text = got.text().to_owned();
            assert!(
                text.contains("\n\ndata: {\"error\"") || text.starts_with("data: {\"error\""),
                "{text}"
            );
            assert!(
                text.contains("upstream_failed") && text.ends_with(DONE),
                "{text}"
            );
        }
    }
    for end in house.ended(4).await {
        assert_eq!(end.ending, Ending::Refused(Reason::UpstreamFailed));
    }
    house.idle().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_for_the_client_too() {
    let chunked = Upstream::raw(|mut wire| async move {
        wire.read_request().await;
        wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
        wire.reset();
    })
    .await;
    let counted = Upstream::raw(|mut wire| async move {
        wire.read_request().await;
        wire.write(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"a",
        )
        .await;
        // An orderly end of the connection in the middle of the body is no better than a reset.
    })
    .await;
    for port in [chunked.port, counted.port] {
        for yaml in [one_pool(&[port], ""), one_service(&[port], "")] {
            let house = House::start(&yaml);
            for mut client in clients(&house).await {
                let mut ask = post(CHAT, chat("m"));
                absolute(&mut ask);
                if let Ok(response) = client.try_send(ask).await {
                    assert_eq!(response.status(), 200);
                    collect(response).await.expect_err("a broken answer");
                }
            }
            let end = &house.ended(2).await[0];
            assert_eq!(end.ending, Ending::Refused(Reason::UpstreamFailed));
            house.idle().await;
        }
    }
}

#[tokio::test]
async fn a_service_answers_at_once_without_waiting_for_its_body() {
    let (upstream, mut feeds) = Upstream::held("text/plain").await;
    let house = House::start(&one_service(&[upstream.port], ""));
    let mut client = Client::http1(house.http()).await;
    let response = client.send(get("/")).await;
    assert_eq!(response.status(), 200);
    let hand = within(feeds.recv()).await.unwrap();
    hand.data("late").await;
    drop(hand);
    assert_eq!(collect(response).await.unwrap().text(), "late");
}
