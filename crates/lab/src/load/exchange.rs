//! One request and its answer.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use payload::StreamReader;

use super::{Engine, Job};
use crate::answer;
use crate::client::Chain;
use crate::outcome::{Cause, Failure, Outcome};

/// An unstreamed answer larger than this is a failure.
const ANSWER_MAX: usize = 16 << 20;

/// So much of an error body is read, for the message.
const ERROR_BODY_MAX: usize = 4 << 10;

/// The response header by which gateways and simulated servers name the pod that served.
const POD_HEADER: &str = "x-inference-pod";

/// What an exchange has learnt so far; survives its timeout.
#[derive(Default)]
struct Seen {
    status: Option<u16>,
    pod: Option<Arc<str>>,
    first: Option<Instant>,
    last: Option<Instant>,
    content_events: u64,
    usage: Option<payload::Usage>,
}

impl Engine {
    /// Sends a job and follows its answer to the end.
    pub(super) async fn perform(&self, job: Job) -> Outcome {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _flying = Flying(self);
        let sent = Instant::now();
        let target = self.target_of(job.number);
        let mut seen = Seen::default();
        let failure = tokio::select! {
            biased;
            result = tokio::time::timeout(self.timeout, self.exchange(target, job.body, &mut seen)) => {
                match result {
                    Ok(result) => result.err(),
                    Err(_) => Some(Failure::new(Cause::Timeout, format!("after {:?}", self.timeout))),
                }
            }
            () = self.cancel.cancelled() => Some(Failure::new(Cause::Interrupted, "the run was stopped")),
        };
        let end = Instant::now();
        let usage = seen.usage.unwrap_or_default();
        Outcome {
            index: job.number,
            class: job.class,
            model: job.model,
            target,
            scheduled: job.due.saturating_duration_since(self.start),
            lag: sent.saturating_duration_since(job.due),
            ttft: seen
                .first
                .map(|first| first.saturating_duration_since(job.due)),
            tpot: seen.time_per_token(),
            e2e: end.saturating_duration_since(job.due),
            status: seen.status,
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            output_tokens: usage.output_tokens,
            pod: seen.pod,
            failure,
        }
    }

    async fn exchange(&self, target: usize, body: Bytes, seen: &mut Seen) -> Result<(), Failure> {
        let client = &self.clients[target];
        let request = client
            .target()
            .post(self.wire.api.path(), &self.headers, body);
        let (response, sender) = client.send(request).await?;
        seen.status = Some(response.status().as_u16());
        seen.pod = pod(response.headers());
        if !response.status().is_success() {
            let (failure, whole) = refusal(response).await;
            if whole {
                client.give_back(sender);
            }
            return Err(failure);
        }
        if self.wire.stream {
            self.follow(target, response.into_body(), seen).await?;
        } else {
            let whole = Limited::new(response.into_body(), ANSWER_MAX)
                .collect()
                .await;
            let whole = whole
                .map_err(|error| Failure::new(Cause::Broken, error))?
                .to_bytes();
            seen.first = Some(Instant::now());
            seen.usage = answer::usage(&whole);
        }
        client.give_back(sender);
        Ok(())
    }

    /// Reads a stream to its end.
    async fn follow(
        &self,
        target: usize,
        mut body: Incoming,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let mut reader = StreamReader::new(self.wire.api.dialect(), None);
        let mut gaps = Gaps {
            engine: self,
            target,
            held: [0; GAPS_HELD],
            count: 0,
        };
        let mut ignore = |_: Bytes| {};
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::new(Cause::Broken, Chain(&error)))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let progress = reader.push(data, &mut ignore);
            seen.usage = reader.usage().or(seen.usage);
            if progress.content_events > 0 {
                gaps.note(seen.note_content(Instant::now(), progress.content_events));
            }
        }
        reader.finish(&mut ignore);
        seen.usage = reader.usage().or(seen.usage);
        if reader.saw_error() {
            return Err(Failure::new(
                Cause::ErrorEvent,
                "the server sent an error in the stream",
            ));
        }
        if reader.wants_end_marker() && !reader.saw_end() {
            return Err(Failure::new(
                Cause::NoEnd,
                "the stream ended without the API's end marker",
            ));
        }
        let output = seen.usage.and_then(|usage| usage.output_tokens);
        if seen.first.is_none() && output != Some(0) {
            return Err(Failure::new(
                Cause::Empty,
                "a stream without generated content",
            ));
        }
        Ok(())
    }
}

impl Seen {
    /// Content came. Returns the time since the content before it, if any.
    fn note_content(&mut self, now: Instant, events: u32) -> Option<(Duration, u32)> {
        self.content_events += u64::from(events);
        self.first.get_or_insert(now);
        let before = self.last.replace(now)?;
        Some((now.saturating_duration_since(before), events))
    }

    fn time_per_token(&self) -> Option<Duration> {
        let counted = self.usage.and_then(|usage| usage.output_tokens);
        let tokens = counted.unwrap_or(self.content_events);
        let after_first = u32::try_from(tokens)
            .ok()?
            .checked_sub(1)
            .filter(|&more| more > 0)?;
        Some(self.last?.saturating_duration_since(self.first?) / after_first)
    }
}

/// Gaps held back before they go to the shared distribution, so that its lock is rarely taken.
const GAPS_HELD: usize = 32;

struct Gaps<'a> {
    engine: &'a Engine,
    target: usize,
    held: [u32; GAPS_HELD],
    count: usize,
}

impl Gaps<'_> {
    /// Several events in one chunk share its gap, else chunking would look like speed.
    fn note(&mut self, gap: Option<(Duration, u32)>) {
        let Some((gap, events)) = gap else { return };
        let micros = u32::try_from(gap.as_micros()).unwrap_or(u32::MAX) / events.max(1);
        for _ in 0..events {
            self.held[self.count] = micros;
            self.count += 1;
            if self.count == GAPS_HELD {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let shared = self.engine.gaps[self.target].lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        for &micros in &self.held[..self.count] {
            shared.record(Duration::from_micros(u64::from(micros)));
        }
        self.count = 0;
    }
}

impl Drop for Gaps<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Counts a request in flight, whatever ends it.
struct Flying<'a>(&'a Engine);

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn pod(headers: &HeaderMap) -> Option<Arc<str>> {
    let name = headers.get(POD_HEADER)?.to_str().ok()?;
    // The longest name Kubernetes allows.
    (name.len() <= 253).then(|| Arc::from(name))
}

/// A status that is not a success, with the server's reason when it gives one briefly, and whether
/// the body was read to its end.
async fn refusal(response: Response<Incoming>) -> (Failure, bool) {
    let cause = Cause::Status(response.status().as_u16());
    let body = Limited::new(response.into_body(), ERROR_BODY_MAX)
        .collect()
        .await
        .ok();
    let whole = body.is_some();
    let message = body.and_then(|body| answer::error_message(&body.to_bytes()));
    let message = message.unwrap_or_else(|| "no reason in the body".to_owned());
    (Failure::new(cause, message), whole)
}
