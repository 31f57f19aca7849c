//! The response half: watch the answer, give it back, and tell the lifecycle how it ended.

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders};
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::value::Kind;
use lifecycle::{Observing, Watch};
use tonic::Status;

use super::{Exchange, State, nonsense};
use crate::head::Head;
use crate::machine::{Flow, Outbox};
use crate::message::{self, Half, HeadReply};
use crate::metadata;
use crate::modes::{self, BodyMode};

/// Set on every response head, as the reference picker does; its tools look for it.
const MARK: &str = "x-went-into-resp-headers";

/// What the scheduler has to tell the proxy about the request, as dynamic metadata.
fn reports(observing: &Observing) -> Option<Struct> {
    let mut all: Option<Struct> = None;
    for report in observing.reports() {
        let value = metadata::value(Kind::NumberValue(report.value as f64));
        let told = metadata::nested(&report.namespace, vec![(report.name.to_string(), value)]);
        match &mut all {
            Some(all) => metadata::merge(all, told),
            None => all = Some(told),
        }
    }
    all
}

impl Exchange {
    pub(super) fn response_headers(
        &mut self,
        message: HttpHeaders,
        served: Option<&str>,
        out: &mut Outbox,
    ) -> Result<Flow, Status> {
        let end_of_stream = message.end_of_stream;
        let head = Head::take(message);
        let mut parts = head.response_parts();
        let observing = match std::mem::replace(&mut self.state, State::Over) {
            State::Picked(mut dispatch) => {
                if let Some(address) = served {
                    dispatch.served_by(address);
                }
                self.wants_stream = dispatch.wants_stream();
                dispatch.accept(&mut parts)
            }
            State::Reading(reading) => reading.answered_elsewhere(&mut parts),
            State::New => {
                let (request, ()) = http::Request::post("/v1/completions")
                    .body(())
                    .map_err(|_| Status::internal("a request head could not be made"))?
                    .into_parts();
                match self.received(request) {
                    Ok(received) => received.answered_elsewhere(&mut parts),
                    Err(reply) => return Ok(self.refuse(&reply, out)),
                }
            }
            State::Watching(_) | State::Spared(_) => {
                return Err(nonsense("a second response head"));
            }
            State::Over => {
                out.push_back(message::pass_headers(Half::Response));
                return Ok(Flow::Open);
            }
        };
        let mut reply = HeadReply::default();
        reply.set.push(message::header(MARK, "true"));
        let has_mark = head.has(MARK);
        head.echo(&mut reply.set);
        if has_mark {
            reply.set.remove(0);
        }
        for change in observing.header_changes() {
            message::change(change.name.as_str(), change.value.as_ref(), &mut reply);
        }
        self.follow(observing, end_of_stream, &mut reply);
        out.push_back(reply.on_headers(Half::Response));
        Ok(Flow::Open)
    }

    /// Settles how the answer's body is watched.
    fn follow(&mut self, observing: Observing, end_of_stream: bool, reply: &mut HeadReply) {
        if end_of_stream {
            let _ = observing.end(&mut |_| {});
            return;
        }
        let watch = observing.watch();
        let may_hide = self.picker.options.spare_bodies && self.modes.can_hide_response_body();
        let hidden = self.modes.response == BodyMode::Hidden;
        self.held = self.holds(&observing).then(Vec::new);
        let observing = Box::new(observing);
        self.state = match watch {
            Watch::Head { first_token_in } if may_hide || hidden => {
                if !hidden {
                    reply.mode_override = Some(modes::hide_response_body());
                }
                self.first_token_in = first_token_in;
                State::Spared(observing)
            }
            _ if hidden => State::Spared(observing),
            _ => State::Watching(observing),
        };
    }

    /// An answer in one piece is given back in one piece: its readers wait for its end anyway.
    fn holds(&self, observing: &Observing) -> bool {
        self.modes.response == BodyMode::FullDuplex && observing.is_whole() && !self.wants_stream
    }

    pub(super) fn response_body(&mut self, message: HttpBody, out: &mut Outbox) -> Flow {
        let end_of_stream = message.end_of_stream || message.end_of_stream_without_message;
        let body = Bytes::from(message.body);
        let mut emitted: Vec<Bytes> = Vec::new();
        let changed = match std::mem::replace(&mut self.state, State::Over) {
            // Some proxies show the body although they were asked not to; then it is watched.
            State::Watching(observing) | State::Spared(observing) => {
                let changed = observing.changes();
                self.watch(observing, body, end_of_stream, &mut emitted);
                changed
            }
            state => {
                emitted.push(body);
                self.state = state;
                false
            }
        };
        self.give_back(emitted, changed, end_of_stream, out);
        if let Some(reports) = self.reports.take()
            && let Some(last) = out.back_mut()
        {
            last.dynamic_metadata = Some(reports);
        }
        Flow::Open
    }

    /// Takes the next bytes of the answer; with the last ones it ends.
    fn watch(
        &mut self,
        mut observing: Box<Observing>,
        body: Bytes,
        end_of_stream: bool,
        emitted: &mut Vec<Bytes>,
    ) {
        let mut keep = |bytes| emitted.push(bytes);
        if !body.is_empty() {
            observing.data(body, &mut keep);
        }
        // A proxy that holds bodies shows them whole, in one message.
        if end_of_stream || self.modes.response == BodyMode::Buffered {
            self.reports = reports(&observing);
            let _ = observing.end(&mut keep);
        } else {
            self.state = State::Watching(observing);
        }
    }

    fn give_back(
        &mut self,
        emitted: Vec<Bytes>,
        changed: bool,
        end_of_stream: bool,
        out: &mut Outbox,
    ) {
        match self.modes.response {
            BodyMode::Streamed | BodyMode::Buffered => {
                let body = changed.then(|| emitted.concat());
                out.push_back(message::pass_body(Half::Response, body));
            }
            BodyMode::FullDuplex | BodyMode::Hidden => {
                let emitted = self.hold(emitted, end_of_stream);
                let mut send = |piece| out.push_back(piece);
                message::pieces(Half::Response, &emitted, end_of_stream, &mut send);
            }
        }
    }

    /// Holds an answer that is given back in one piece, up to the limit. Returns what goes out now.
    fn hold(&mut self, emitted: Vec<Bytes>, last: bool) -> Vec<Bytes> {
        let Some(held) = &mut self.held else {
            return emitted;
        };
        self.held_bytes += emitted.iter().map(Bytes::len).sum::<usize>();
        held.extend(emitted);
        if last || self.held_bytes > self.picker.options.held_answer_bytes_max {
            return self.held.take().unwrap_or_default();
        }
        Vec::new()
    }

    pub(super) fn response_trailers(&mut self, out: &mut Outbox) -> Flow {
        let mut emitted: Vec<Bytes> = Vec::new();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Watching(observing) => {
                let _ = observing.end(&mut |bytes| emitted.push(bytes));
            }
            State::Spared(observing) => observing.end_unwatched(),
            _ => {}
        }
        if matches!(self.modes.response, BodyMode::FullDuplex) {
            let emitted = self.hold(emitted, true);
            let mut send = |piece| out.push_back(piece);
            message::pieces(Half::Response, &emitted, false, &mut send);
        }
        out.push_back(message::pass_trailers(Half::Response));
        Flow::Open
    }
}
