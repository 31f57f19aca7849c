//! What both servers are: a state machine over the messages of one HTTP exchange.

use std::collections::VecDeque;
use std::time::Duration;

use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use tonic::Status;

/// Answers that wait to be sent, in order.
pub type Outbox = VecDeque<ProcessingResponse>;

/// Whether the stream goes on after its answers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More messages are taken.
    Open,
    /// The stream ends well.
    Close,
}

/// One HTTP exchange. Dropped before its end, it counts as given up by the client, and all it held is freed.
pub trait Machine {
    /// Takes a message of the proxy and answers it.
    ///
    /// # Errors
    /// A status that ends the stream, for messages that no proxy sends in this state. The proxy then applies its failure
    /// mode.
    fn on(&mut self, message: ProcessingRequest, out: &mut Outbox) -> Result<Flow, Status>;

    /// How long to wait for the next message before [`Machine::wake`]. Asked once, when the wait begins.
    fn patience(&mut self) -> Option<Duration> {
        None
    }

    /// The wait was longer than [`Machine::patience`].
    fn wake(&mut self, _out: &mut Outbox) -> Flow {
        Flow::Open
    }
}
