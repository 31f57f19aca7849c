//! The gRPC services of one port, told apart by path.

use std::convert::Infallible;

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tower_service::Service as _;

use crate::health::HealthService;
use crate::serve::Service;

const PROCESSOR_PATH: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/";
const HEALTH_PATH: &str = "/grpc.health.v1.Health/";

/// External processing, and health where it is asked for, on one port.
#[derive(Clone)]
pub struct ProcessorPort<P: ExternalProcessor> {
    processor: ExternalProcessorServer<P>,
    health: Option<HealthServer<HealthService>>,
}

impl<P: ExternalProcessor> ProcessorPort<P> {
    /// Serves `processor`; messages of more than `receive_bytes_max` bytes end their stream.
    #[must_use]
    pub fn new(processor: P, receive_bytes_max: usize, send_bytes_max: usize) -> Self {
        Self {
            processor: ExternalProcessorServer::new(processor)
                .max_decoding_message_size(receive_bytes_max)
                .max_encoding_message_size(send_bytes_max),
            health: None,
        }
    }

    /// Serves health on the same port.
    #[must_use]
    pub fn with_health(mut self, health: HealthService) -> Self {
        self.health = Some(HealthServer::new(health));
        self
    }
}

impl<P: ExternalProcessor + Clone> Service for ProcessorPort<P> {
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path();
        if path.starts_with(PROCESSOR_PATH) {
            return self.processor.clone().call(request).await;
        }
        match &self.health {
            Some(health) if path.starts_with(HEALTH_PATH) => health.clone().call(request).await,
            _ => Ok(unknown(path)),
        }
    }
}

/// Health alone.
#[derive(Clone)]
pub struct HealthPort(HealthServer<HealthService>);

impl HealthPort {
    /// Serves `health`.
    #[must_use]
    pub fn new(health: HealthService) -> Self {
        Self(HealthServer::new(health))
    }
}

impl Service for HealthPort {
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if request.uri().path().starts_with(HEALTH_PATH) {
            return self.0.clone().call(request).await;
        }
        Ok(unknown(request.uri().path()))
    }
}

fn unknown(path: &str) -> Response<Body> {
    Status::unimplemented(format!("nothing is served at {path}")).into_http()
}
