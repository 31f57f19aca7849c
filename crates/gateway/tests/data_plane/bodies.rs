//! Request bodies: chunked, compressed, multipart, too large, stalled.

use std::io::Write as _;
use std::time::Duration;

use lifecycle::{Ending, Reason, Settings};
use tokio::io::AsyncWriteExt;

use crate::support::client::request;
use crate::support::manifests::{self, one_pool, one_service};
use crate::support::raw::Wire;
use crate::support::{CHAT, Client, House, Upstream, chat, full, house, post};

#[tokio::test]
async fn a_chunked_body_is_read_piece_by_piece_and_sent_whole() {
    let mut upstream = Upstream::named("hello").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    let mut wire = Wire::connect(house.http()).await;
    wire.write(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ))
    .await;
    let body = chat("m");
    for piece in body.as_bytes().chunks(7) {
        wire.write(format!("{:x}\r\n", piece.len())).await;
        wire.write(piece).await;
        wire.write("\r\n").await;
    }
    wire.write("0\r\n\r\n").await;
    wire.read_until("hello").await;
    let seen = upstream.seen().await;
    assert_eq!(seen.text(), body);
    assert_eq!(seen.header("content-length"), body.len().to_string());
    assert_eq!(seen.header("transfer-encoding"), "");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_body_is_sent_decoded_only_if_its_model_changes() {
    let mut upstream = Upstream::named("hello").await;
    let yaml = one_pool(&[upstream.port], "") + &manifests::rewrite("gpt", "llama");
    let house = House::start(&yaml);
    let mut client = Client::http1(house.http()).await;
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    for (model, sent, encoding) in [
        ("gpt", chat("llama").into_bytes(), ""),
        ("other", gzip(&chat("other")), "gzip"),
    ] {
        let body = full(gzip(&chat(model)));
        let got = client.ask(request("POST", CHAT, &headers, body)).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let seen = upstream.seen().await;
        assert_eq!(seen.body, sent, "{model}");
        assert_eq!(seen.header("content-encoding"), encoding);
        assert_eq!(seen.header("content-length"), sent.len().to_string());
    }
}

#[tokio::test]
async fn the_model_of_a_form_is_found_at_its_end() {
    let mut upstream = Upstream::named("hello").await;
    let yaml = [
        manifests::http(),
        manifests::pool("chat", &[upstream.port]),
        manifests::route(&format!(
            "{{matches: [{{headers: [{{name: X-Gateway-Model-Name, value: whisper}}]}}], backendRefs: [{}]}}",
            manifests::to_pool("chat")
        )),
    ]
    .concat();
    let house = House::start(&yaml);
    let form = |model: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b--\r\n",
            "noise".repeat(50_000)
        )
    };
    let headers = [("content-type", "multipart/form-data; boundary=b")];
    let path = "/v1/audio/transcriptions";
    let mut client = Client::http1(house.http()).await;
    let got = client
        .ask(request("POST", path, &headers, full(form("whisper"))))
        .await;
    assert_eq!(got.text(), "hello");
    let seen = upstream.seen().await;
    assert_eq!(seen.text(), form("whisper"));
    assert_eq!(seen.header("x-gateway-model-name"), "whisper");
    let got = client
        .ask(request("POST", path, &headers, full(form("other"))))
        .await;
    assert_eq!(got.header("x-plimsoll-reason"), "model_not_found");
}

fn small_bodies(yaml: &str) -> House {
    let settings = Settings {
        body_bytes_max: 1000,
        ..Settings::default()
    };
    House::with(yaml, settings, house::options())
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let upstream = Upstream::named("hello").await;
    let house = small_bodies(&one_pool(&[upstream.port], ""));
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut wire = Wire::connect(house.http()).await;
        wire.write(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\n{expect}Content-Length: 1001\r\n\r\n"
        ))
        .await;
        let head = wire.read_head().await;
        assert!(head.starts_with("http/1.1 413 "), "{head}");
        assert!(head.contains("x-plimsoll-reason: request_body_too_large"));
    }
    assert_eq!(upstream.opened(), 0);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_on_the_way() {
    let upstream = Upstream::named("hello").await;
    let house = small_bodies(&one_pool(&[upstream.port], ""));
    let mut wire = Wire::connect(house.http()).await;
    wire.write(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{{"
    ))
    .await;
    wire.write(" ".repeat(1000)).await;
    let head = wire.read_head().await;
    assert!(head.starts_with("http/1.1 413 "), "{head}");
    house.idle().await;
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_still_gets_the_refusal() {
    let upstream = Upstream::named("hello").await;
    let house = small_bodies(&one_pool(&[upstream.port], ""));
    let length = 24 << 20;
    for framing in [
        format!("Content-Length: {length}\r\n\r\n"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"),
    ] {
        let mut wire = Wire::connect(house.http()).await;
        wire.write(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\n{framing}"
        ))
        .await;
        // As most clients do: an error in writing is not looked at while there may be an answer.
        let _ = crate::support::within(wire.stream.write_all(&vec![b' '; length])).await;
        let head = wire.read_head().await;
        assert!(head.starts_with("http/1.1 413 "), "{head}");
    }
}

fn impatient(yaml: &str) -> House {
    let options = gateway::Options {
        body_timeout: Duration::from_millis(50),
        ..house::options()
    };
    House::with(yaml, Settings::default(), options)
}

#[tokio::test]
async fn a_client_that_stalls_in_its_body_is_told_so() {
    let upstream = Upstream::named("hello").await;
    for yaml in [
        one_pool(&[upstream.port], ""),
        one_service(&[upstream.port], ""),
    ] {
        let house = impatient(&yaml);
        let mut wire = Wire::connect(house.http()).await;
        wire.write(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\n{{\"model\""
        ))
        .await;
        let head = wire.read_head().await;
        assert!(head.starts_with("http/1.1 408 "), "{head}");
        let end = &house.ended(1).await[0];
        assert_eq!(end.ending, Ending::Refused(Reason::BodyTimeout));
        house.idle().await;
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_its_body_is_not_the_endpoints_fault() {
    let mut upstream = Upstream::named("hello").await;
    for yaml in [
        one_pool(&[upstream.port], ""),
        one_service(&[upstream.port], ""),
    ] {
        let house = House::start(&yaml);
        let mut wire = Wire::connect(house.http()).await;
        wire.write(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\n{{\"model\""
        ))
        .await;
        drop(wire);
        let end = &house.ended(1).await[0];
        assert_eq!(end.ending, Ending::ClientCancelled);
        assert_eq!(end.failed, []);
        house.idle().await;
        let mut client = Client::http1(house.http()).await;
        assert_eq!(client.ask(post(CHAT, chat("m"))).await.text(), "hello");
        assert_eq!(upstream.seen().await.text(), chat("m"));
    }
}
