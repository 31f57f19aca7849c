//! A tiny HTTP/1.1 server for tests: port 0, scripted answers, everything it saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What to answer to a path.
pub(crate) enum Answer {
    Page(u16, Vec<u8>),
    /// The same, then close the connection without a word.
    PageThenClose(u16, Vec<u8>),
    /// Half of a page, then close.
    Cut,
    /// Nothing, ever.
    Silence,
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    /// Paths asked for, in order.
    pub(crate) asked: mpsc::UnboundedReceiver<String>,
    pub(crate) connections: Arc<AtomicUsize>,
    /// One message per connection that the client closed.
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
    task: AbortHandle,
}

impl TestServer {
    pub(crate) async fn start(script: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (saw, asked) = mpsc::unbounded_channel();
        let (gone, closed) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (script, count) = (Arc::new(script), connections.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, saw, gone) = (script.clone(), saw.clone(), gone.clone());
                tokio::spawn(async move {
                    serve(stream, &*script, &saw).await;
                    let _ = gone.send(());
                });
            }
        });
        Self {
            address,
            asked,
            connections,
            closed,
            task: task.abort_handle(),
        }
    }

    /// Paths asked for so far.
    pub(crate) fn paths(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &(impl Fn(&str) -> Answer + ?Sized),
    saw: &mpsc::UnboundedSender<String>,
) {
    while let Some(path) = read_path(&mut stream).await {
        let answer = script(&path);
        let _ = saw.send(path);
        let (status, body, close) = match answer {
            Answer::Page(status, body) => (status, body, false),
            Answer::PageThenClose(status, body) => (status, body, true),
            Answer::Cut => {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                    .await;
                return;
            }
            Answer::Silence => std::future::pending().await,
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream
            .write_all(&[head.as_bytes(), &body].concat())
            .await
            .is_err()
            || close
        {
            return;
        }
    }
}

/// The path of the next request, or `None` when the client closed.
async fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    assert!(
        text.to_ascii_lowercase().contains("\r\nhost: "),
        "requests carry a host"
    );
    Some(text.split(' ').nth(1).unwrap().to_owned())
}
