//! Plays messages on a stream.

use std::time::Duration;

use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::house::Client;
use crate::wire;

/// How long a stream may take to answer. Only a defect makes a test wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open stream.
pub struct Stream {
    sender: mpsc::UnboundedSender<ProcessingRequest>,
    answers: Streaming<ProcessingResponse>,
}

impl Stream {
    pub async fn open(client: &mut Client) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let answers = client
            .process(UnboundedReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        Self { sender, answers }
    }

    pub fn send(&self, messages: &[Value]) {
        for message in messages {
            // The server may have closed the stream already.
            let _ = self.sender.send(wire::request(message));
        }
    }

    /// The next answer, or `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message())
            .await
            .expect("no answer in time");
        match answer {
            Ok(answer) => answer.map(|answer| wire::response(&answer)),
            Err(status) => Some(serde_json::json!({"status": status.to_string()})),
        }
    }

    /// Whether an answer comes within this time.
    pub async fn answers_within(&mut self, time: Duration) -> bool {
        matches!(
            tokio::time::timeout(time, self.answers.message()).await,
            Ok(Ok(Some(_)))
        )
    }

    pub async fn read(&mut self, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        while all.len() < count
            && let Some(answer) = self.next().await
        {
            all.push(answer);
        }
        all
    }
}
