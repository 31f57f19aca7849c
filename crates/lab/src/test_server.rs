//! A tiny model server for tests: port 0, scripted answers, everything it saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::Target;

/// What to answer to a request.
pub(crate) enum Answer {
    /// Chunks of a stream, then its clean end.
    Stream(Vec<String>),
    /// Chunks of a stream, then the connection breaks.
    BrokenStream(Vec<String>),
    /// A whole answer.
    Whole(u16, String),
    /// The connection breaks before an answer.
    Nothing,
    /// No answer, ever.
    Silence,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) asked: mpsc::UnboundedReceiver<Asked>,
    pub(crate) connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

/// A chat stream of `tokens` content events, with usage and end marker.
pub(crate) fn chat(tokens: u32, prompt: u32, cached: Option<u32>) -> Vec<String> {
    let event = |json: String| format!("data: {json}\n\n");
    let mut events = vec![event(
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#.to_owned(),
    )];
    for _ in 0..tokens {
        events.push(event(
            r#"{"choices":[{"index":0,"delta":{"content":"word "}}]}"#.to_owned(),
        ));
    }
    let details = cached.map_or_else(
        || "null".to_owned(),
        |n| format!(r#"{{"cached_tokens":{n}}}"#),
    );
    events.push(event(format!(
        r#"{{"choices":[],"usage":{{"prompt_tokens":{prompt},"completion_tokens":{tokens},"prompt_tokens_details":{details}}}}}"#
    )));
    events.push(event("[DONE]".to_owned()));
    events
}

impl TestServer {
    /// The script gets the number of the request, from 0, and the request.
    pub(crate) async fn start(
        script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (saw, asked) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (script, count, number) = (
            Arc::new(script),
            connections.clone(),
            Arc::new(AtomicUsize::new(0)),
        );
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, saw, number) = (script.clone(), saw.clone(), number.clone());
                tokio::spawn(async move { serve(stream, &*script, &saw, &number).await });
            }
        });
        Self {
            address,
            asked,
            connections,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn target(&self) -> Target {
        Target::parse(&self.url()).unwrap()
    }

    /// Requests so far.
    pub(crate) fn requests(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    script: &(impl Fn(usize, &Asked) -> Answer + ?Sized),
    saw: &mpsc::UnboundedSender<Asked>,
    number: &AtomicUsize,
) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream).await {
        let answer = script(number.fetch_add(1, Ordering::SeqCst), &asked);
        let _ = saw.send(asked);
        let whole = match answer {
            Answer::Stream(chunks) => streamed(&chunks, true),
            Answer::BrokenStream(chunks) => streamed(&chunks, false),
            Answer::Whole(status, body) => {
                format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Answer::Nothing => return,
            Answer::Silence => std::future::pending().await,
        };
        if stream.get_mut().write_all(whole.as_bytes()).await.is_err()
            || !whole.ends_with("\r\n\r\n") && whole.contains("chunked")
        {
            return;
        }
    }
}

fn streamed(chunks: &[String], end: bool) -> String {
    let mut out = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-inference-pod: pod-a\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for chunk in chunks {
        out.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    if end {
        out.push_str("0\r\n\r\n");
    }
    out
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let from = head.len();
        stream
            .read_line(&mut head)
            .await
            .ok()
            .filter(|&read| read > 0)?;
        let line = head[from..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        head,
        body: String::from_utf8(body).unwrap(),
    })
}
