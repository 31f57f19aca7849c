//! The endpoint picker: one machine per HTTP exchange, over the lifecycle's phases.

mod request;
mod response;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Part;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use envoy_types::pb::google::protobuf::Struct;
use futures_util::Stream;
use lifecycle::{Core, Dispatch, Observing, Reading, Received, Reply, Subset};
use tonic::{Request, Response, Status, Streaming};

use crate::head::Head;
use crate::machine::{Flow, Machine, Outbox};
use crate::message;
use crate::metadata;
use crate::modes::Modes;
use crate::service::Session;

/// Choices of the picker.
#[derive(Debug, Clone)]
pub struct PickerOptions {
    /// Endpoints named per request, best first. Proxies that retry walk the list; those that take one address only need
    /// 1. Default 1.
    pub fallbacks: usize,
    /// Name as many endpoints as the configured picker plugin was asked for, where that is more. Default off: our own
    /// profile ranks many, and most proxies take one.
    pub follow_picker: bool,
    /// Tell the scores of the candidates in dynamic metadata. Default off.
    pub emit_scores: bool,
    /// Take no notice of the subset that the proxy allows. Default off.
    pub ignore_subset: bool,
    /// When the proxy is asked to spare the picker response bodies it learns nothing from. Default true.
    pub spare_bodies: bool,
    /// How long a request body may pause. Default 30 s.
    pub body_timeout: Duration,
    /// Most bytes of an answer in one piece that are held until it is complete. Longer ones pass as they come.
    /// Default 4 MiB.
    pub held_answer_bytes_max: usize,
}

impl Default for PickerOptions {
    fn default() -> Self {
        Self {
            fallbacks: 1,
            follow_picker: false,
            emit_scores: false,
            ignore_subset: false,
            spare_bodies: true,
            body_timeout: Duration::from_secs(30),
            held_answer_bytes_max: 4 << 20,
        }
    }
}

/// The gRPC service. Clones share the core.
#[derive(Debug, Clone)]
pub struct Picker {
    core: Arc<Core>,
    options: Arc<PickerOptions>,
}

impl Picker {
    /// A picker over the lifecycle's core, whose only route leads to the pool.
    #[must_use]
    pub fn new(core: Arc<Core>, options: PickerOptions) -> Self {
        Self {
            core,
            options: Arc::new(options),
        }
    }

    /// The machine for one exchange.
    #[must_use]
    pub fn machine(&self) -> impl Machine + Unpin + Send + use<> {
        Exchange::new(self.clone())
    }
}

#[tonic::async_trait]
impl ExternalProcessor for Picker {
    type ProcessStream =
        Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send + 'static>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let session = Session::new(request.into_inner(), Exchange::new(self.clone()));
        Ok(Response::new(Box::pin(session)))
    }
}

/// How far the exchange has come.
enum State {
    /// Nothing was shown yet.
    New,
    /// The head is known; the body is being read.
    Reading(Reading),
    /// The destination was told.
    Picked(Box<Dispatch>),
    /// The answer is under way and its body is watched.
    Watching(Box<Observing>),
    /// The answer is under way and the proxy was asked not to show its body.
    Spared(Box<Observing>),
    /// All that is of interest is over; what still comes is passed on.
    Over,
}

/// One HTTP exchange.
struct Exchange {
    picker: Picker,
    state: State,
    modes: Modes,
    /// Request headers to set again with the destination.
    head: Head,
    /// The last non-empty subset that came with the request.
    subset: Option<Subset>,
    /// Whether the client asked for a stream.
    wants_stream: bool,
    /// The answer, while it is held until it is complete.
    held: Option<Vec<Bytes>>,
    held_bytes: usize,
    /// What to tell the proxy with the last piece of the answer.
    reports: Option<Struct>,
    /// When the first token of a spared answer is to be expected.
    first_token_in: Option<Duration>,
}

impl Exchange {
    fn new(picker: Picker) -> Self {
        Self {
            picker,
            state: State::New,
            modes: Modes::default(),
            head: Head::default(),
            subset: None,
            wants_stream: false,
            held: None,
            held_bytes: 0,
            reports: None,
            first_token_in: None,
        }
    }

    fn received(&self, parts: http::request::Parts) -> Result<Received, Box<Reply>> {
        let door = lifecycle::Door {
            proxied: true,
            ..lifecycle::Door::default()
        };
        Received::new(&self.picker.core, door, parts)
    }

    /// Ends the exchange with an answer of our own.
    fn refuse(&mut self, reply: &Reply, out: &mut Outbox) -> Flow {
        self.state = State::Over;
        out.push_back(message::immediate(reply));
        Flow::Close
    }
}

/// The status for messages that no proxy sends in this state.
fn nonsense(what: &str) -> Status {
    Status::invalid_argument(format!("out of order: {what}"))
}

impl Machine for Exchange {
    fn on(&mut self, message: ProcessingRequest, out: &mut Outbox) -> Result<Flow, Status> {
        if let Some(config) = &message.protocol_config {
            self.modes = Modes::announced(config);
        }
        let metadata = message.metadata_context.unwrap_or_default();
        let Some(part) = message.request else {
            // Window updates and the like: nothing to answer.
            return Ok(Flow::Open);
        };
        if matches!(
            part,
            Part::RequestHeaders(_) | Part::RequestBody(_) | Part::RequestTrailers(_)
        ) && !self.picker.options.ignore_subset
        {
            self.subset = metadata::subset(&metadata).or(self.subset.take());
        }
        let answered = match part {
            Part::RequestHeaders(headers) => self.request_headers(headers, out),
            Part::RequestBody(body) => self.request_body(body, out),
            Part::RequestTrailers(_) => self.request_trailers(out),
            Part::ResponseHeaders(headers) => {
                self.response_headers(headers, metadata::served(&metadata), out)
            }
            Part::ResponseBody(body) => Ok(self.response_body(body, out)),
            Part::ResponseTrailers(_) => Ok(self.response_trailers(out)),
        };
        if message.observability_mode {
            // The proxy only shows what it does, and takes no answers.
            out.clear();
        }
        answered
    }

    fn patience(&mut self) -> Option<Duration> {
        match &self.state {
            State::Reading(_) => Some(self.picker.options.body_timeout),
            State::Spared(_) => self.first_token_in.take(),
            _ => None,
        }
    }

    fn wake(&mut self, out: &mut Outbox) -> Flow {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Reading(reading) => {
                let reply = reading.stalled();
                self.refuse(&reply, out)
            }
            State::Spared(mut observing) => {
                observing.assume_first_token();
                self.state = State::Spared(observing);
                Flow::Open
            }
            state => {
                self.state = state;
                Flow::Open
            }
        }
    }
}

impl Drop for Exchange {
    /// The end of an answer whose body is not shown is only seen by the stream's end, which says nothing of how it ended.
    fn drop(&mut self) {
        if let State::Spared(observing) = std::mem::replace(&mut self.state, State::Over) {
            observing.end_unwatched();
        }
    }
}
