//! What became of one request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// No connection, or no TLS on it.
    Connect,
    /// The connection broke before the response head.
    NoResponse,
    /// A status other than 2xx.
    Status(u16),
    /// The connection broke in the response body.
    Broken,
    /// The stream carried an error event.
    ErrorEvent,
    /// The stream ended cleanly, but without the API's end marker.
    NoEnd,
    /// A success without a single token of content.
    Empty,
    /// Not finished within the time limit.
    Timeout,
    /// The run was stopped first.
    Interrupted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Connect => f.write_str("connect"),
            Cause::NoResponse => f.write_str("no response"),
            Cause::Status(status) => write!(f, "status {status}"),
            Cause::Broken => f.write_str("broken stream"),
            Cause::ErrorEvent => f.write_str("error event"),
            Cause::NoEnd => f.write_str("no end marker"),
            Cause::Empty => f.write_str("empty answer"),
            Cause::Timeout => f.write_str("timeout"),
            Cause::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// A failed request: the cause, and the first words about it for the user to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub cause: Cause,
    /// What the system or the server said, cut to a line.
    pub detail: String,
}

impl Failure {
    /// A failure with a detail, cut at 200 characters and freed of control characters.
    pub(crate) fn new(cause: Cause, detail: impl fmt::Display) -> Self {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let detail = detail.to_string().chars().take(200).map(clean).collect();
        Self { cause, detail }
    }
}

/// One request's measurements. All times are real time, not scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Position in the plan, from 0.
    pub index: u64,
    /// The plan's label for this kind of request.
    pub class: Arc<str>,
    /// The model asked for.
    pub model: Arc<str>,
    /// Index of the target it went to.
    pub target: usize,
    /// When it was to be sent, from the start of the run.
    pub scheduled: Duration,
    /// How much later it was sent: the generator's own lateness.
    pub lag: Duration,
    /// Scheduled time to the first generated content (for unstreamed answers: to the end).
    pub ttft: Option<Duration>,
    /// Time per output token after the first.
    pub tpot: Option<Duration>,
    /// Scheduled time to the end of the answer.
    pub e2e: Duration,
    /// Status of the response, if one came.
    pub status: Option<u16>,
    /// Tokens of the prompt, as the server counted them.
    pub prompt_tokens: Option<u64>,
    /// Of these, taken from the prefix cache. `None` when the server does not say.
    pub cached_tokens: Option<u64>,
    /// Tokens generated, as the server counted them.
    pub output_tokens: Option<u64>,
    /// Value of the response's `x-inference-pod` header.
    pub pod: Option<Arc<str>>,
    /// What went wrong; `None` for a complete answer.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Whether a complete answer came.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
    }
}
