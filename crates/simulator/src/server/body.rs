//! Response bodies: whole ones, and streams of tokens as the engine emits them.

use std::{
    convert::Infallible,
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::{
    answer::{Frames, Usage},
    core::Ticket,
    plan::Output,
};

/// A response body.
#[derive(Debug)]
pub(super) enum Answer {
    /// All at once.
    Whole(Full<Bytes>),
    /// Token by token.
    Stream(Box<TokenStream>),
}

impl From<Vec<u8>> for Answer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

/// A submitted sequence and the answer that it will have.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) ticket: Ticket,
    pub(super) output: Output,
    sent: u32,
    done: bool,
}

impl Sequence {
    pub(super) fn new(ticket: Ticket, output: Output) -> Self {
        Self {
            ticket,
            output,
            sent: 0,
            done: false,
        }
    }
}

/// Tokens of all sequences together; complete once every ticket is done.
pub(super) fn usage(sequences: &[Sequence]) -> Usage {
    let mut usage = Usage::default();
    for Sequence { ticket, output, .. } in sequences {
        usage.prompt += output.prompt_tokens;
        usage.output += output.tokens;
        if output.prompt_tokens > 0 {
            usage.cached += ticket.cached_tokens();
        }
    }
    usage
}

/// Events of a streamed answer. A reader that is slow gets several tokens in one frame. Dropping
/// the stream aborts what has not been generated.
pub(super) struct TokenStream {
    sequences: Vec<Sequence>,
    frames: Box<dyn Frames>,
    /// Break off with an error after this many tokens: a fault.
    cut_after: Option<u32>,
    begun: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Cut by a fault; what came before must reach the socket first.
    Cutting,
    /// The next poll fails.
    Cut,
    Ended,
}

impl fmt::Debug for TokenStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenStream")
            .field("sequences", &self.sequences.len())
            .finish()
    }
}

impl TokenStream {
    pub(super) fn new(
        sequences: Vec<Sequence>,
        frames: Box<dyn Frames>,
        cut_after: Option<u32>,
    ) -> Self {
        Self {
            sequences,
            frames,
            cut_after,
            begun: false,
            state: State::Open,
        }
    }

    /// Writes what is new.
    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) {
        for at in 0..self.sequences.len() {
            let Some(sequence) = self.sequences.get(at) else {
                break;
            };
            let (emitted, done) = sequence.ticket.poll_progress(context);
            let (output, sent) = (sequence.output, sequence.sent);
            if emitted > 0 && !self.begun {
                self.begun = true;
                let usage = Usage {
                    output: 0,
                    ..usage(&self.sequences)
                };
                self.frames.begin(usage, out);
            }
            for index in sent..emitted {
                if self.cut_after.is_some_and(|tokens| index >= tokens) {
                    self.state = State::Cutting;
                    return;
                }
                self.frames.token(at, &output, index, out);
            }
            if let Some(sequence) = self.sequences.get_mut(at) {
                (sequence.sent, sequence.done) = (emitted, done);
            }
        }
        if self.sequences.iter().all(|sequence| sequence.done) {
            self.state = State::Ended;
            self.frames.end(usage(&self.sequences), out);
        }
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut out = Vec::new();
        if self.state == State::Open {
            self.write(context, &mut out);
        }
        if !out.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(out.into()))));
        }
        match self.state {
            State::Open => Poll::Pending,
            State::Ended => Poll::Ready(None),
            State::Cutting => {
                // hyper writes out what it has when a body is not ready.
                self.state = State::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            State::Cut => {
                let reason = "stream cut by the configured fault";
                let error = io::Error::new(io::ErrorKind::ConnectionAborted, reason);
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Answer::Whole(full) => Pin::new(full)
                .poll_frame(context)
                .map_err(|never: Infallible| match never {}),
            Answer::Stream(stream) => stream.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Whole(full) => full.is_end_stream(),
            Answer::Stream(stream) => stream.state == State::Ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(full) => full.size_hint(),
            Answer::Stream(_) => SizeHint::default(),
        }
    }
}
