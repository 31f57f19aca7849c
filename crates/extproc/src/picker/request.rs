//! The request half: show the body to the lifecycle, tell the proxy where the request goes.

use std::fmt::Write;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders};
use lifecycle::{Dispatch, Step};
use tonic::Status;

use super::{Exchange, State, nonsense};
use crate::head::Head;
use crate::machine::{Flow, Outbox};
use crate::message::{self, Half, HeadReply};
use crate::metadata;
use crate::modes::BodyMode;

/// What ended a request, which decides what is sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The head: there is no body.
    Head,
    /// The last piece of the body.
    Body,
    /// Trailers after the body.
    Trailers,
}

impl Exchange {
    pub(super) fn request_headers(
        &mut self,
        message: HttpHeaders,
        out: &mut Outbox,
    ) -> Result<Flow, Status> {
        if !matches!(self.state, State::New) {
            return Err(nonsense("a second request head"));
        }
        let end_of_stream = message.end_of_stream;
        self.head = Head::take(message);
        let mut received = match self.received(self.head.request_parts()) {
            Ok(received) => received,
            Err(reply) => return Ok(self.refuse(&reply, out)),
        };
        if let Some(subset) = &self.subset {
            received.restrict(subset.clone());
        }
        if end_of_stream {
            return Ok(self.step(received.proceed(false), End::Head, out));
        }
        match self.modes.request {
            BodyMode::Streamed | BodyMode::Hidden => {
                Ok(self.step(received.proceed_unread(), End::Head, out))
            }
            BodyMode::FullDuplex => Ok(self.step(received.proceed(true), End::Body, out)),
            BodyMode::Buffered => {
                let step = received.proceed(true);
                if matches!(step, Step::Read(_)) {
                    out.push_back(message::pass_headers(Half::Request));
                }
                Ok(self.step(step, End::Body, out))
            }
        }
    }

    pub(super) fn request_body(
        &mut self,
        message: HttpBody,
        out: &mut Outbox,
    ) -> Result<Flow, Status> {
        if let State::New = self.state {
            // Proxies that do not show heads are served all the same.
            self.request_headers(HttpHeaders::default(), out)?;
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Reading(mut reading) => {
                if let Err(refusal) = reading.feed(Bytes::from(message.body)) {
                    let reply = reading.refuse(&refusal);
                    return Ok(self.refuse(&reply, out));
                }
                let whole = message.end_of_stream
                    || message.end_of_stream_without_message
                    || self.modes.request == BodyMode::Buffered;
                if !whole {
                    self.state = State::Reading(reading);
                    return Ok(Flow::Open);
                }
                if let Some(subset) = &self.subset {
                    reading.restrict(subset.clone());
                }
                Ok(self.step(reading.finish(), End::Body, out))
            }
            state => {
                let unread = matches!(state, State::Over)
                    || matches!(self.modes.request, BodyMode::Streamed | BodyMode::Hidden);
                self.state = state;
                if !unread {
                    return Err(nonsense("a piece of the body after its end"));
                }
                if self.modes.request == BodyMode::Streamed {
                    out.push_back(message::pass_body(Half::Request, None));
                }
                Ok(Flow::Open)
            }
        }
    }

    pub(super) fn request_trailers(&mut self, out: &mut Outbox) -> Result<Flow, Status> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::New => Err(nonsense("trailers before the head")),
            State::Reading(mut reading) => {
                if let Some(subset) = &self.subset {
                    reading.restrict(subset.clone());
                }
                Ok(self.step(reading.finish(), End::Trailers, out))
            }
            state => {
                self.state = state;
                out.push_back(message::pass_trailers(Half::Request));
                Ok(Flow::Open)
            }
        }
    }

    fn step(&mut self, step: Step, end: End, out: &mut Outbox) -> Flow {
        match step {
            Step::Reply(reply) => self.refuse(&reply, out),
            Step::Read(reading) => {
                self.state = State::Reading(reading);
                Flow::Open
            }
            Step::Send(dispatch) => {
                self.tell(&dispatch, end, out);
                self.state = State::Picked(dispatch);
                Flow::Open
            }
        }
    }

    /// Tells the proxy where the request goes, and gives its body back.
    fn tell(&mut self, dispatch: &Dispatch, end: End, out: &mut Outbox) {
        let destination = self.destination(dispatch);
        let mut reply = HeadReply {
            clear_route_cache: true,
            ..HeadReply::default()
        };
        reply
            .set
            .push(message::header(metadata::DESTINATION, destination.as_str()));
        let scores = self
            .picker
            .options
            .emit_scores
            .then(|| scores(dispatch))
            .flatten();
        reply.metadata = Some(metadata::destination(destination, scores));
        let body = dispatch.body();
        let duplex = self.modes.request == BodyMode::FullDuplex;
        let changed = dispatch.is_changed();
        let length = body.as_ref().map_or(0, payload::Body::len);
        if length > 0 && (duplex || changed) && end != End::Head {
            reply
                .set
                .push(message::header("Content-Length", length.to_string()));
        }
        if dispatch.is_decoded() {
            reply.remove.push("content-encoding".to_owned());
        }
        self.echo(dispatch, &mut reply.set);
        for change in dispatch.header_changes() {
            message::change(change.name.as_str(), change.value.as_ref(), &mut reply);
        }
        match (end, body) {
            (End::Body | End::Trailers, Some(body)) if duplex => {
                out.push_back(reply.on_headers(Half::Request));
                let last = end == End::Body;
                let mut send = |piece| out.push_back(piece);
                message::pieces(Half::Request, body.chunks(), last, &mut send);
            }
            (End::Body, Some(body)) => {
                let replaced = changed.then(|| body.chunks().concat());
                out.push_back(reply.on_body(Half::Request, replaced));
            }
            _ => out.push_back(reply.on_headers(Half::Request)),
        }
        if end == End::Trailers {
            out.push_back(message::pass_trailers(Half::Request));
        }
    }

    /// Sets the client's headers again, as the reference picker does, and the request id where there was none.
    fn echo(&mut self, dispatch: &Dispatch, set: &mut Vec<HeaderValueOption>) {
        const REQUEST_ID: &str = "x-request-id";
        let head = std::mem::take(&mut self.head);
        if head.text(REQUEST_ID).is_none() {
            set.push(message::header(
                REQUEST_ID,
                dispatch.request_id().as_bytes(),
            ));
        }
        head.echo(set);
    }

    /// `ip:port` of the endpoints, best first, without spaces.
    fn destination(&self, dispatch: &Dispatch) -> String {
        let mut list = String::new();
        let options = &self.picker.options;
        let asked = dispatch
            .record()
            .filter(|_| options.follow_picker)
            .map_or(1, |record| record.decision.named);
        let count = options.fallbacks.max(asked).max(1);
        for endpoint in dispatch.endpoints().take(count) {
            let comma = if list.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(list, "{comma}{}", endpoint.address());
        }
        list
    }
}

/// Scores of all candidates by address.
fn scores(dispatch: &Dispatch) -> Option<Vec<(String, f64)>> {
    let scores = &dispatch.record()?.decision.scores;
    let told = scores
        .iter()
        .map(|(address, score)| (address.to_string(), f64::from(*score)));
    Some(told.collect())
}
