//! The Envoy door: external-processing servers (`envoy.service.ext_proc.v3`).
//!
//! [`Picker`] speaks the Endpoint Picker Protocol (Inference Extension, proposal 004): it reads each request that Envoy
//! shows it, and names the endpoint to send it to. [`Router`] is the body-based router: it writes the model's name into
//! headers, so that routes can match on it. Both move messages only; every rule about requests is in [`lifecycle`].
//!
//! One HTTP exchange is one gRPC stream, and one [`Machine`] without I/O. Its answers are computed within the call that
//! brings the message, on the connection's own task: no task, channel or lock per request.

mod grpc;
mod head;
mod health;
mod machine;
mod message;
mod metadata;
mod modes;
mod picker;
mod router;
mod serve;
mod service;
mod tls;

pub use grpc::{HealthPort, ProcessorPort};
pub use health::{HealthService, PICKER_SERVICE, Unknown, Vitals};
pub use machine::{Flow, Machine, Outbox};
pub use picker::{Picker, PickerOptions};
pub use router::{
    BodyMessage, PluginError, PluginSpec, Router, RouterObserver, RouterOptions, RouterPlugin,
    RouterPlugins, SilentRouter,
};
pub use serve::{ServeOptions, Service, Serving, serve};
pub use tls::{Certificate, Policy, Reloader, TlsError};
