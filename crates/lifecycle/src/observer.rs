//! What the lifecycle tells the outside about each request.

use std::sync::Arc;
use std::time::Duration;

use payload::Api;
use resources::ObjectName;

use crate::record::{Outcome, Record};

/// Listens to requests. Calls come from many threads and must return at once.
pub trait Observer: Send + Sync {
    /// An endpoint was picked (phase two); the record carries scores and timings.
    fn decided(&self, record: &Record);

    /// The request is on its way to an endpoint of a pool, with its body as it will be sent. Once per request.
    fn picked(&self, _picked: &Picked<'_>) {}

    /// A request ended, for whatever reason. Called exactly once per request.
    fn finished(&self, finished: &Finished<'_>);
}

/// Whose request it is, as the pool's objectives see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Priority of its objective; higher is more important.
    pub priority: i32,
    /// Who shares fairly with others. Not bounded: an observer must bound it before using it as a label.
    pub fairness: Arc<str>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            priority: 0,
            fairness: "default-flow".into(),
        }
    }
}

/// A request on its way to a pool's endpoint.
#[derive(Debug)]
pub struct Picked<'a> {
    /// Whose it is.
    pub flow: &'a Flow,
    /// Model name in the request.
    pub model: Option<&'a Arc<str>>,
    /// Model name sent upstream.
    pub target_model: Option<&'a Arc<str>>,
    /// Bytes of the body as it is sent.
    pub request_bytes: u64,
}

/// A request at its end.
#[derive(Debug)]
pub struct Finished<'a> {
    /// The request's id, as the client sees it in `x-request-id`.
    pub request_id: &'a str,
    /// W3C trace id, 32 hex digits.
    pub trace_id: &'a str,
    /// API the path belongs to.
    pub api: Api,
    /// Pool that was resolved, if the request came that far.
    pub pool: Option<&'a ObjectName>,
    /// Model name in the request. Not bounded: an observer must map it to a closed set before using it as a label.
    pub model: Option<&'a Arc<str>>,
    /// Model name sent upstream.
    pub target_model: Option<&'a Arc<str>>,
    /// Whether the model name was found, for the model-extraction phase.
    pub extraction: Extraction,
    /// Body bytes read from the client before dispatch.
    pub body_bytes: u64,
    /// Time from arrival until route, model and pool were known.
    pub routed_after: Option<Duration>,
    /// Whose it is, once it was picked for.
    pub flow: Option<&'a Flow>,
    /// Status of the model server's answer, if one came.
    pub served_status: Option<u16>,
    /// Bytes of the answer's body that passed.
    pub response_bytes: u64,
    /// What happened.
    pub outcome: &'a Outcome,
}

/// Result of looking for a model name in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extraction {
    /// The request was not looked into: no body, or a plain Service behind a route without model matches.
    NotApplicable,
    /// A model name was found.
    Ok,
    /// The body holds no model name.
    FieldMissing,
    /// The body could not be read.
    Unreadable,
    /// The body passed the limit.
    TooLarge,
}

impl Extraction {
    /// A closed set of words, fit for a metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotApplicable => "not_applicable",
            Self::Ok => "ok",
            Self::FieldMissing => "field_missing",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
        }
    }
}

/// Ignores everything; for tests and tools.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn decided(&self, _: &Record) {}
    fn finished(&self, _: &Finished<'_>) {}
}
