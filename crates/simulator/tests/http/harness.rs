//! A server on a port of its own, and a client for it.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use simulator::{SimConfig, SimHandle, Simulator};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must happen; only failures take that long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) handle: SimHandle,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<io::Result<()>>,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
}

/// A fast server: two hundred times real time.
pub(crate) fn config() -> SimConfig {
    SimConfig {
        name: "sim-7".to_owned(),
        model: "base".to_owned(),
        adapters: vec!["tuned".to_owned()],
        time_scale: 200.0,
        ..SimConfig::default()
    }
}

pub(crate) async fn start(config: SimConfig) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let simulator = Simulator::new(config).expect("valid");
    let handle = simulator.handle();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(simulator.serve(listener, shutdown.clone()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    Server {
        address,
        handle,
        shutdown,
        task,
        client,
    }
}

impl Server {
    pub(crate) fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .expect("a valid request")
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        answer.expect("an answer in time").expect("an answer")
    }

    pub(crate) async fn open(&self, path: &str, body: &Value) -> Response<Incoming> {
        let request = self.request(Method::POST, path, &body.to_string());
        self.send(request).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let (status, text) = self.post_text(path, &body.to_string()).await;
        (status, serde_json::from_str(&text).expect("json"))
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> (StatusCode, String) {
        let request = self.request(Method::POST, path, body);
        read(self.send(request).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = self.request(Method::GET, path, "");
        read(self.send(request).await).await
    }

    /// The data of all events of a streamed answer.
    pub(crate) async fn events(&self, path: &str, body: &Value) -> Vec<String> {
        let (status, text) = self.post_text(path, &body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let data = |event: &str| {
            let line = event.lines().find_map(|line| line.strip_prefix("data: "));
            line.expect("an event has data").to_owned()
        };
        assert!(text.ends_with("\n\n"), "the last event is complete");
        text.split_terminator("\n\n").map(data).collect()
    }

    /// Waits until the server holds no request and no block.
    pub(crate) async fn idle(&self) {
        self.until(|stats| stats.live == 0 && stats.running == 0 && stats.used_blocks == 0)
            .await;
    }

    pub(crate) async fn until(&self, wanted: impl Fn(&simulator::SimStats) -> bool) {
        let wait = async {
            while !wanted(&self.handle.stats()) {
                tokio::task::yield_now().await;
            }
        };
        let result = tokio::time::timeout(PATIENCE, wait).await;
        assert!(result.is_ok(), "it never came: {:?}", self.handle.stats());
    }
}

pub(crate) async fn read(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
    let bytes = body
        .expect("a body in time")
        .expect("a whole body")
        .to_bytes();
    (status, String::from_utf8(bytes.to_vec()).expect("text"))
}

/// Events as JSON, without `[DONE]`, which must be there.
pub(crate) fn openai(events: &[String]) -> Vec<Value> {
    let (last, chunks) = events.split_last().expect("events");
    assert_eq!(last, "[DONE]");
    json(chunks)
}

pub(crate) fn json(events: &[String]) -> Vec<Value> {
    events
        .iter()
        .map(|event| serde_json::from_str(event).expect("json"))
        .collect()
}
