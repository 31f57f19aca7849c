//! Decision records: what was known when an endpoint was picked, and what happened then.
//!
//! A record is written once, at the pick, and joined with its [`Outcome`] when the answer ends.
//! It never holds prompt text, header values or keys: only names from configuration, counts and times.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use payload::Usage;
use resources::ObjectName;
use scheduling::Decision;
use signals::Time;

use crate::errors::Reason;

/// One scheduling decision and, once known, how it ended.
#[derive(Debug)]
pub struct Record {
    /// Number of the decision in this process, from 1.
    pub id: u64,
    /// When the endpoint was picked.
    pub decided_at: Time,
    /// The request's id, as the client sees it in `x-request-id`.
    pub request_id: String,
    /// W3C trace id, 32 hex digits.
    pub trace_id: String,
    /// Route that led here, `namespace/name`.
    pub route: String,
    /// The pool picked from.
    pub pool: ObjectName,
    /// Model name in the request, if any.
    pub model: Option<Arc<str>>,
    /// Model name sent to the model server, if any.
    pub target_model: Option<Arc<str>>,
    /// InferenceModelRewrite that changed the name.
    pub rewrite: Option<Arc<str>>,
    /// Priority of the request's objective.
    pub priority: i32,
    /// Estimated prompt tokens.
    pub prompt_tokens: u64,
    /// Blocks the prompt was hashed into.
    pub prompt_blocks: usize,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Time the scheduler took.
    pub schedule_time: Duration,
    /// What the scheduler saw and chose.
    pub decision: Decision,
    outcome: Mutex<Option<Outcome>>,
}

/// Everything about a decision but its number and its outcome.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) decided_at: Time,
    pub(crate) request_id: String,
    pub(crate) trace_id: String,
    pub(crate) route: String,
    pub(crate) pool: ObjectName,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) target_model: Option<Arc<str>>,
    pub(crate) rewrite: Option<Arc<str>>,
    pub(crate) priority: i32,
    pub(crate) prompt_tokens: u64,
    pub(crate) prompt_blocks: usize,
    pub(crate) stream: bool,
    pub(crate) schedule_time: Duration,
    pub(crate) decision: Decision,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The model server's answer reached the client whole.
    Completed,
    /// The client went away first.
    ClientCancelled,
    /// The gateway refused or failed the request.
    Refused(Reason),
}

impl Ending {
    /// A closed set of words, fit for a metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientCancelled => "client_cancelled",
            Self::Refused(reason) => reason.row().code,
        }
    }
}

/// One try at one endpoint that did not serve the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// Why it was given up.
    pub cause: AttemptFailure,
}

/// Why an endpoint was given up before the first byte of its answer reached the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// The connection could not be made.
    Connect,
    /// The connection broke before the first byte of the answer's body.
    Broken,
    /// The answer's status is one to try elsewhere.
    Status(u16),
    /// The per-attempt timeout expired.
    Timeout,
}

impl AttemptFailure {
    /// A closed set of words, fit for a metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Status(_) => "status",
            Self::Timeout => "timeout",
        }
    }
}

/// What really happened to a request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Status sent to the client, if an answer was begun.
    pub status: Option<u16>,
    /// Endpoint that served it.
    pub served: Option<Arc<str>>,
    /// Endpoints that were tried before.
    pub failed_attempts: Vec<FailedAttempt>,
    /// From arrival to the first content of the answer.
    pub ttft: Option<Duration>,
    /// From arrival to the end.
    pub duration: Duration,
    /// Token counts the model server reported.
    pub usage: Option<Usage>,
}

impl Record {
    pub(crate) fn new(id: u64, draft: Draft) -> Self {
        Self {
            id,
            decided_at: draft.decided_at,
            request_id: draft.request_id,
            trace_id: draft.trace_id,
            route: draft.route,
            pool: draft.pool,
            model: draft.model,
            target_model: draft.target_model,
            rewrite: draft.rewrite,
            priority: draft.priority,
            prompt_tokens: draft.prompt_tokens,
            prompt_blocks: draft.prompt_blocks,
            stream: draft.stream,
            schedule_time: draft.schedule_time,
            decision: draft.decision,
            outcome: Mutex::new(None),
        }
    }

    /// The outcome, once the request has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn join(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// The last decisions, oldest first; bounded.
#[derive(Debug)]
pub struct Ring {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    records: VecDeque<Arc<Record>>,
}

impl Ring {
    /// A ring that keeps the last `capacity` records.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::new(Inner::default()),
        }
    }

    pub(crate) fn push(&self, draft: Draft) -> Arc<Record> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last_id += 1;
        let record = Arc::new(Record::new(inner.last_id, draft));
        if self.capacity > 0 {
            if inner.records.len() >= self.capacity {
                inner.records.pop_front();
            }
            inner.records.push_back(record.clone());
        }
        record
    }

    /// The newest `limit` records that satisfy `wanted`, newest first.
    #[must_use]
    pub fn latest(&self, limit: usize, wanted: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        let snapshot: Vec<_> = {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.records.iter().rev().cloned().collect()
        };
        snapshot
            .into_iter()
            .filter(|record| wanted(record))
            .take(limit)
            .collect()
    }

    /// Decisions made so far in this process.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last_id
    }

    /// Records held now, and the bound.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        (
            self.inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .records
                .len(),
            self.capacity,
        )
    }
}
