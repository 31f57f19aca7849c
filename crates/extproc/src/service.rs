//! Runs a [`Machine`] on a gRPC stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::Stream;
use tokio::time::{Sleep, sleep};
use tonic::{Status, Streaming};

use crate::machine::{Flow, Machine, Outbox};

/// A gRPC stream under way. It is the stream of answers; messages are taken while answers are asked for, so a proxy that
/// does not read its answers is not read from either.
pub(crate) struct Session<M> {
    inbound: Streaming<ProcessingRequest>,
    machine: M,
    outbox: Outbox,
    /// Whether the machine was asked how long to wait for the next message.
    waiting: bool,
    alarm: Option<Pin<Box<Sleep>>>,
    closing: Option<Option<Status>>,
}

impl<M: Machine> Session<M> {
    pub(crate) fn new(inbound: Streaming<ProcessingRequest>, machine: M) -> Self {
        Self {
            inbound,
            machine,
            outbox: Outbox::new(),
            waiting: false,
            alarm: None,
            closing: None,
        }
    }

    fn take(&mut self, message: Option<Result<ProcessingRequest, Status>>) {
        self.waiting = false;
        self.alarm = None;
        match message {
            Some(Ok(message)) => match self.machine.on(message, &mut self.outbox) {
                Ok(Flow::Open) => {}
                Ok(Flow::Close) => self.closing = Some(None),
                Err(status) => {
                    tracing::debug!(%status, "external processing stream closed");
                    self.closing = Some(Some(status));
                }
            },
            // The proxy cancelled or broke off: the machine is dropped with the session.
            Some(Err(status)) => self.closing = Some(Some(status)),
            None => self.closing = Some(None),
        }
    }

    /// Waits for the next message, for as long as the machine has patience.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.waiting, true) {
            self.alarm = self.machine.patience().map(|after| Box::pin(sleep(after)));
        }
        let Some(alarm) = &mut self.alarm else {
            return Poll::Pending;
        };
        ready!(alarm.as_mut().poll(context));
        self.alarm = None;
        if self.machine.wake(&mut self.outbox) == Flow::Close {
            self.closing = Some(None);
        }
        Poll::Ready(())
    }
}

impl<M: Machine + Unpin> Stream for Session<M> {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let session = self.get_mut();
        loop {
            if let Some(answer) = session.outbox.pop_front() {
                return Poll::Ready(Some(Ok(answer)));
            }
            if let Some(last) = &mut session.closing {
                return Poll::Ready(last.take().map(Err));
            }
            match Pin::new(&mut session.inbound).poll_next(context) {
                Poll::Ready(message) => session.take(message),
                Poll::Pending => ready!(session.poll_patience(context)),
            }
        }
    }
}
