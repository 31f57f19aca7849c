//! gRPC health (`grpc.health.v1`), with the service names and answers of the reference pickers.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The name under which the picker itself is asked for.
pub const PICKER_SERVICE: &str = "envoy.service.ext_proc.v3.ExternalProcessor";

/// What a process says of its health. Cheap: it is asked often.
pub trait Vitals: Send + Sync {
    /// The configuration is known and traffic may come.
    fn ready(&self) -> bool;

    /// The process works. In the reference a picker that has not synced is not alive either; see `docs/compat.md`.
    fn alive(&self) -> bool;
}

/// How unknown names are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Like the picker itself, as the reference does without leader election.
    AsPicker,
    /// With the gRPC status NOT_FOUND, as on the external-processing port.
    NotFound,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct HealthService {
    vitals: Arc<dyn Vitals>,
    unknown: Unknown,
}

impl HealthService {
    /// Tells of these vitals.
    #[must_use]
    pub fn new(vitals: Arc<dyn Vitals>, unknown: Unknown) -> Self {
        Self { vitals, unknown }
    }

    fn check_service(&self, name: &str) -> Result<bool, Status> {
        match (name, self.unknown) {
            ("liveness", _) => Ok(self.vitals.alive()),
            ("" | "readiness" | PICKER_SERVICE, _) | (_, Unknown::AsPicker) => {
                Ok(self.vitals.ready())
            }
            (_, Unknown::NotFound) => Err(Status::not_found(format!(
                "no service \"{name}\"; known are \"\", liveness, readiness and {PICKER_SERVICE}"
            ))),
        }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let serving = self.check_service(&request.get_ref().service)?;
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
        }))
    }

    type WatchStream = futures_util::stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("Watch is not served; call Check"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        ready: bool,
        alive: bool,
    }

    impl Vitals for Fixed {
        fn ready(&self) -> bool {
            self.ready
        }

        fn alive(&self) -> bool {
            self.alive
        }
    }

    #[test]
    fn names_and_their_answers() {
        let vitals = Arc::new(Fixed {
            ready: false,
            alive: true,
        });
        let own = HealthService::new(vitals.clone(), Unknown::AsPicker);
        let shared = HealthService::new(vitals, Unknown::NotFound);
        for (name, want) in [
            ("", false),
            ("readiness", false),
            (PICKER_SERVICE, false),
            ("liveness", true),
        ] {
            assert_eq!(own.check_service(name).unwrap(), want, "{name}");
            assert_eq!(shared.check_service(name).unwrap(), want, "{name}");
        }
        assert!(!own.check_service("inference-extension").unwrap());
        let status = shared.check_service("inference-extension").unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
    }
}
