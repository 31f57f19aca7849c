//! The body-based router: reads the model out of each request body and tells Envoy in headers, so that routes can match.
//!
//! Headers, ConfigMaps and message order are those of the Inference Extension's router v1.5.0 and of llm-d's payload
//! processor. Its faults are not: bodies have a limit, streamed answers are never held back, and copies of the routing
//! headers that a client sent are removed.

mod base_model_to_header;
mod body_field_to_header;
mod exchange;
mod plugin;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::Stream;
use lifecycle::Core;
use tonic::{Request, Response, Status, Streaming};

use crate::machine::Machine;
use crate::service::Session;
use exchange::Exchange;

pub use plugin::{BodyMessage, PluginError, PluginSpec, RouterPlugin, RouterPlugins};

/// Choices of the router.
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// Whether bodies are exchanged in full-duplex pieces. A proxy that announces its mode is answered in that mode
    /// whatever stands here. Default false, as in the reference.
    pub streaming: bool,
    /// How long a request body may pause. Default 30 s.
    pub body_timeout: Duration,
    /// Most bytes of an answer that are held for plugins; longer ones pass unread. Default 4 MiB.
    pub held_answer_bytes_max: usize,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            streaming: false,
            body_timeout: Duration::from_secs(30),
            held_answer_bytes_max: 4 << 20,
        }
    }
}

/// Hears what the router does with requests, to count it.
pub trait RouterObserver: Send + Sync {
    /// A request body was read and its headers were told.
    fn succeeded(&self) {}
    /// A body had no such field.
    fn field_missing(&self, _field: &str) {}
    /// A body's field was empty.
    fn field_empty(&self, _field: &str) {}
    /// A plugin ran for this long at this point (`request` or `response`).
    fn plugin_ran(&self, _point: &'static str, _kind: &str, _name: &str, _took: Duration) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentRouter;

impl RouterObserver for SilentRouter {}

/// The gRPC service. Clones share everything.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    options: RouterOptions,
    plugins: RouterPlugins,
    observer: Arc<dyn RouterObserver>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Router {
    /// A router over a core whose settings name [`payload::Parsers::routing`] and whose snapshot maps adapters to bases.
    #[must_use]
    pub fn new(
        core: Arc<Core>,
        options: RouterOptions,
        plugins: RouterPlugins,
        observer: Arc<dyn RouterObserver>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                core,
                options,
                plugins,
                observer,
            }),
        }
    }

    /// The machine for one exchange.
    #[must_use]
    pub fn machine(&self) -> impl Machine + Unpin + Send + use<> {
        Exchange::new(self.shared.clone())
    }
}

#[tonic::async_trait]
impl ExternalProcessor for Router {
    type ProcessStream =
        Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send + 'static>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let machine = Exchange::new(self.shared.clone());
        Ok(Response::new(Box::pin(Session::new(
            request.into_inner(),
            machine,
        ))))
    }
}
