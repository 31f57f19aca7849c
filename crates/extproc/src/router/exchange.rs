//! One HTTP exchange of the body-based router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Part;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest};
use lifecycle::{Named, Reading, Received, Reply, Step};
use payload::Body;
use tonic::Status;

use super::Shared;
use super::plugin::{BodyMessage, RouterPlugin};
use crate::head::Head;
use crate::machine::{Flow, Machine, Outbox};
use crate::message::{self, Half, HeadReply};
use crate::modes::{BodyMode, Modes};

/// How far the request has come.
enum State {
    New,
    Reading(Reading),
    /// The request was told its headers, or has none to tell.
    Told,
}

/// How the answer is treated.
enum Answer {
    /// Nothing of it was shown.
    New,
    /// It passes as it comes.
    Passing,
    /// It is held for plugins until it is complete.
    Held(Body),
}

pub(super) struct Exchange {
    shared: Arc<Shared>,
    state: State,
    answer: Answer,
    modes: Modes,
    /// Headers of ours that the client sent itself.
    spoofed: Vec<String>,
}

impl Exchange {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let mode = if shared.options.streaming {
            BodyMode::FullDuplex
        } else {
            BodyMode::Buffered
        };
        Self {
            shared,
            state: State::New,
            answer: Answer::New,
            modes: Modes {
                request: mode,
                response: mode,
                announced: false,
            },
            spoofed: Vec::new(),
        }
    }

    fn begin(&mut self, head: &Head) -> Result<Step, Box<Reply>> {
        self.spoofed = self
            .shared
            .plugins
            .iter()
            .flat_map(|plugin| plugin.owned_headers())
            .filter(|name| head.has(&name.to_ascii_lowercase()))
            .collect();
        let door = lifecycle::Door {
            proxied: true,
            ..lifecycle::Door::default()
        };
        let received = Received::new(&self.shared.core, door, head.request_parts())?;
        Ok(received.read_only())
    }

    fn request_headers(&mut self, message: HttpHeaders, out: &mut Outbox) -> Result<Flow, Status> {
        if !matches!(self.state, State::New) {
            return Err(Status::invalid_argument(
                "out of order: a second request head",
            ));
        }
        let end_of_stream = message.end_of_stream;
        let step = self.begin(&Head::take(message));
        if end_of_stream || matches!(self.modes.request, BodyMode::Streamed | BodyMode::Hidden) {
            // There is no body to route by. What the client claims in our headers still goes.
            self.state = State::Told;
            out.push_back(self.strip().unwrap_or(message::pass_headers(Half::Request)));
            return Ok(Flow::Open);
        }
        match step {
            Ok(Step::Read(reading)) => self.state = State::Reading(reading),
            Ok(Step::Reply(reply)) => return Ok(self.refuse(&reply, out)),
            Err(reply) => return Ok(self.refuse(&reply, out)),
            Ok(Step::Send(_)) => return Err(Status::internal("a router was given a destination")),
        }
        if self.modes.request == BodyMode::Buffered {
            out.push_back(message::pass_headers(Half::Request));
        }
        Ok(Flow::Open)
    }

    /// The answer to a head that only takes out what the client has no business to set.
    fn strip(
        &mut self,
    ) -> Option<envoy_types::pb::envoy::service::ext_proc::v3::ProcessingResponse> {
        let remove = std::mem::take(&mut self.spoofed);
        (!remove.is_empty()).then(|| {
            HeadReply {
                remove,
                clear_route_cache: true,
                ..HeadReply::default()
            }
            .on_headers(Half::Request)
        })
    }

    fn refuse(&mut self, reply: &Reply, out: &mut Outbox) -> Flow {
        self.state = State::Told;
        out.push_back(message::immediate(reply));
        Flow::Close
    }

    fn request_body(&mut self, message: HttpBody, out: &mut Outbox) -> Result<Flow, Status> {
        if matches!(self.state, State::New) {
            match self.begin(&Head::default()) {
                Ok(Step::Read(reading)) => self.state = State::Reading(reading),
                Ok(_) => return Err(Status::internal("a router was given a destination")),
                Err(reply) => return Ok(self.refuse(&reply, out)),
            }
        }
        let State::Reading(mut reading) = std::mem::replace(&mut self.state, State::Told) else {
            if self.modes.request == BodyMode::Streamed {
                out.push_back(message::pass_body(Half::Request, None));
                return Ok(Flow::Open);
            }
            return Err(Status::invalid_argument(
                "out of order: a piece of the body after its end",
            ));
        };
        if let Err(refusal) = reading.feed(Bytes::from(message.body)) {
            let reply = reading.refuse(&refusal);
            return Ok(self.refuse(&reply, out));
        }
        let duplex = self.modes.request == BodyMode::FullDuplex;
        if duplex && !message.end_of_stream && !message.end_of_stream_without_message {
            self.state = State::Reading(reading);
            return Ok(Flow::Open);
        }
        Ok(self.tell(reading, true, out))
    }

    fn request_trailers(&mut self, out: &mut Outbox) -> Flow {
        if let State::Reading(reading) = std::mem::replace(&mut self.state, State::Told)
            && self.tell(reading, false, out) == Flow::Close
        {
            return Flow::Close;
        }
        out.push_back(message::pass_trailers(Half::Request));
        Flow::Open
    }

    /// Runs the plugins over the request and tells the proxy what they made of it.
    fn tell(&mut self, reading: Reading, last: bool, out: &mut Outbox) -> Flow {
        let named = match reading.named() {
            Ok(named) => named,
            Err(reply) => return self.refuse(&reply, out),
        };
        let (set, changed) = self.run(&named);
        self.shared.observer.succeeded();
        let mut reply = head_reply(&set);
        reply.remove = std::mem::take(&mut self.spoofed);
        reply.remove.retain(|name| !set.contains_key(name));
        let body = match &changed {
            Some(body) => vec![body.clone()],
            None => named.body.chunks().to_vec(),
        };
        let length: usize = body.iter().map(Bytes::len).sum();
        let duplex = self.modes.request == BodyMode::FullDuplex;
        if duplex || changed.is_some() {
            let length = message::header("Content-Length", length.to_string());
            reply.set.push(length);
        }
        if duplex {
            out.push_back(reply.on_headers(Half::Request));
            message::pieces(Half::Request, &body, last, &mut |piece| {
                out.push_back(piece)
            });
        } else {
            let changed = changed.map(|body| body.to_vec());
            out.push_back(reply.on_body(Half::Request, changed));
        }
        Flow::Open
    }

    fn run(&self, named: &Named) -> (BTreeMap<String, String>, Option<Bytes>) {
        let mut message = BodyMessage::new(
            named.model.as_ref(),
            named.base.as_ref(),
            &named.decoded,
            self.shared.observer.as_ref(),
        );
        self.each("request", |plugin| plugin.request(&mut message));
        message.finish()
    }

    fn each(&self, point: &'static str, mut work: impl FnMut(&dyn RouterPlugin)) {
        for plugin in self.shared.plugins.iter() {
            let begun = Instant::now();
            work(plugin.as_ref());
            let took = begun.elapsed();
            self.shared
                .observer
                .plugin_ran(point, plugin.kind(), plugin.name(), took);
        }
    }

    fn response_headers(&mut self, message: HttpHeaders, out: &mut Outbox) {
        let head = Head::take(message);
        let events = head
            .text("content-type")
            .is_some_and(|kind| kind.contains("text/event-stream"));
        let hold = self.shared.plugins.read_answers() && !events;
        self.answer = if hold {
            Answer::Held(Body::new())
        } else {
            Answer::Passing
        };
        if !hold || self.modes.response != BodyMode::FullDuplex {
            out.push_back(message::pass_headers(Half::Response));
        }
    }

    fn response_body(&mut self, message: HttpBody, out: &mut Outbox) {
        let duplex = self.modes.response == BodyMode::FullDuplex;
        if matches!(self.answer, Answer::New) {
            // Proxies that do not show heads are served all the same.
            self.answer = if self.shared.plugins.read_answers() {
                Answer::Held(Body::new())
            } else {
                if duplex {
                    out.push_back(message::pass_headers(Half::Response));
                }
                Answer::Passing
            };
        }
        let last = message.end_of_stream || !duplex;
        let piece = Bytes::from(message.body);
        let Answer::Held(held) = &mut self.answer else {
            if duplex {
                message::pieces(Half::Response, [&piece], last, &mut |piece| {
                    out.push_back(piece)
                });
            } else {
                out.push_back(message::pass_body(Half::Response, None));
            }
            return;
        };
        held.push(piece);
        let too_long = held.len() > self.shared.options.held_answer_bytes_max;
        if last || too_long {
            self.give_back(last, too_long, out);
        }
    }

    /// Runs the plugins over the answer that was held, unless it is too long, and gives it back.
    fn give_back(&mut self, last: bool, unread: bool, out: &mut Outbox) {
        let Answer::Held(held) = std::mem::replace(&mut self.answer, Answer::Passing) else {
            return;
        };
        let mut message = BodyMessage::new(None, None, &held, self.shared.observer.as_ref());
        if !unread {
            self.each("response", |plugin| plugin.response(&mut message));
        }
        let (set, changed) = message.finish();
        let mut reply = head_reply(&set);
        if let Some(body) = &changed {
            let length = message::header("Content-Length", body.len().to_string());
            reply.set.push(length);
        }
        let untouched = reply.set.is_empty();
        let duplex = self.modes.response == BodyMode::FullDuplex;
        match (duplex, untouched) {
            (true, true) => out.push_back(message::pass_headers(Half::Response)),
            (true, false) => out.push_back(reply.on_headers(Half::Response)),
            (false, true) => out.push_back(message::pass_body(Half::Response, None)),
            (false, false) => {
                let changed = changed.as_ref().map(|body| body.to_vec());
                out.push_back(reply.on_body(Half::Response, changed));
            }
        }
        if duplex {
            let body = match changed {
                Some(body) => vec![body],
                None => held.chunks().to_vec(),
            };
            message::pieces(Half::Response, &body, last, &mut |piece| {
                out.push_back(piece)
            });
        }
    }

    fn response_trailers(&mut self, out: &mut Outbox) {
        self.give_back(false, false, out);
        out.push_back(message::pass_trailers(Half::Response));
    }
}

fn head_reply(set: &BTreeMap<String, String>) -> HeadReply {
    HeadReply {
        set: set
            .iter()
            .map(|(name, value)| message::header(name.as_str(), value.as_bytes()))
            .collect(),
        clear_route_cache: true,
        ..HeadReply::default()
    }
}

impl Machine for Exchange {
    fn on(&mut self, message: ProcessingRequest, out: &mut Outbox) -> Result<Flow, Status> {
        if let Some(config) = &message.protocol_config {
            self.modes = Modes::announced(config);
        }
        let Some(part) = message.request else {
            return Ok(Flow::Open);
        };
        let flow = match part {
            Part::RequestHeaders(headers) => self.request_headers(headers, out)?,
            Part::RequestBody(body) => self.request_body(body, out)?,
            Part::RequestTrailers(_) => self.request_trailers(out),
            Part::ResponseHeaders(headers) => {
                self.response_headers(headers, out);
                Flow::Open
            }
            Part::ResponseBody(body) => {
                self.response_body(body, out);
                Flow::Open
            }
            Part::ResponseTrailers(_) => {
                self.response_trailers(out);
                Flow::Open
            }
        };
        if message.observability_mode {
            out.clear();
        }
        Ok(flow)
    }

    fn patience(&mut self) -> Option<Duration> {
        matches!(self.state, State::Reading(_)).then_some(self.shared.options.body_timeout)
    }

    fn wake(&mut self, out: &mut Outbox) -> Flow {
        match std::mem::replace(&mut self.state, State::Told) {
            State::Reading(reading) => {
                let reply = reading.stalled();
                self.refuse(&reply, out)
            }
            state => {
                self.state = state;
                Flow::Open
            }
        }
    }
}
