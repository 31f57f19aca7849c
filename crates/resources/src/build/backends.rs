use super::grants::{Crossing, Grants};
use super::pools::Pools;
use super::services;
use crate::objects::{ALPHA_GROUP, Kind, Objects, POOL_GROUP};
use crate::report::{Place, Report};
use crate::{BackendTarget, ObjectName, Service};
use std::collections::HashMap;
use std::sync::Arc;

/// Finds what the backends of routes refer to.
pub(super) struct Backends<'o> {
    objects: &'o Objects,
    pools: &'o Pools,
    grants: Grants<'o>,
    services: HashMap<(ObjectName, u16), Result<Arc<Service>, Arc<str>>>,
}

/// A reference of a rule or of a mirror, with the defaults of its definition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) port: Option<i32>,
}

impl<'o> Backends<'o> {
    pub(super) fn new(objects: &'o Objects, pools: &'o Pools) -> Self {
        let grants = Grants::new(&objects.grants);
        Self {
            objects,
            pools,
            grants,
            services: HashMap::new(),
        }
    }

    /// Resolves a reference of the route at `place`. One that leads nowhere is reported as a
    /// warning and gives [`BackendTarget::Invalid`].
    pub(super) fn resolve(
        &mut self,
        reference: Reference<'_>,
        route: &ObjectName,
        place: &Place,
        path: &str,
        report: &mut Report,
    ) -> BackendTarget {
        if reference.group.is_empty() && reference.kind == "Service" && reference.port.is_none() {
            report.error(
                place,
                format!("{path}.port"),
                "is missing, want the port of the Service",
            );
            return BackendTarget::Invalid("backend has no port".into());
        }
        let namespace = reference.namespace.unwrap_or(&route.namespace);
        let name = ObjectName::new(namespace, reference.name);
        match self.find(reference, &name, &route.namespace) {
            Ok(target) => target,
            Err(Unresolved {
                message,
                report: wanted,
            }) => {
                if wanted {
                    let message = format!("{message}; requests that draw this backend get a 500");
                    report.warning(place, path, message);
                }
                BackendTarget::Invalid(message.into())
            }
        }
    }

    fn find(
        &mut self,
        reference: Reference<'_>,
        name: &ObjectName,
        from_namespace: &str,
    ) -> Result<BackendTarget, Unresolved> {
        let is_pool = [POOL_GROUP, ALPHA_GROUP].contains(&reference.group)
            && reference.kind == "InferencePool";
        let is_service = reference.group.is_empty() && reference.kind == "Service";
        if !is_pool && !is_service {
            return Err(Unresolved::new(format!(
                "kind {} of group `{}` cannot be a backend, want Service, or InferencePool of group {POOL_GROUP}",
                reference.kind, reference.group
            )));
        }
        let crossing = Crossing {
            from_group: "gateway.networking.k8s.io",
            from_kind: "HTTPRoute",
            from_namespace,
            to_group: reference.group,
            to_kind: reference.kind,
            to_namespace: &name.namespace,
            to_name: &name.name,
        };
        // Asked before looking: what is there in another namespace is nobody else's business.
        if !self.grants.allow(crossing) {
            return Err(Unresolved::new(crossing.missing()));
        }
        if is_pool {
            self.pool(reference.group, name)
        } else {
            self.service(reference, name)
        }
    }

    fn pool(&self, group: &str, name: &ObjectName) -> Result<BackendTarget, Unresolved> {
        match self.pools.get(name) {
            Some(entry) if entry.is_in(group) => Ok(BackendTarget::Pool(Arc::clone(&entry.pool))),
            Some(_) => Err(Unresolved::new(format!(
                "InferencePool {name} is of the other API group than `{group}`"
            ))),
            None => Err(Unresolved {
                message: format!("InferencePool {name} is not among the manifests"),
                report: !self.objects.is_broken_pool(name),
            }),
        }
    }

    fn service(
        &mut self,
        reference: Reference<'_>,
        name: &ObjectName,
    ) -> Result<BackendTarget, Unresolved> {
        let port = reference
            .port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(0);
        let Some(service) = self.objects.services.get(name) else {
            return Err(Unresolved {
                message: format!("Service {name} is not among the manifests"),
                report: !self.objects.is_broken(Kind::Service, name),
            });
        };
        let objects = self.objects;
        self.services
            .entry((name.clone(), port))
            .or_insert_with(|| {
                services::resolve(service, port, objects)
                    .map(Arc::new)
                    .map_err(Into::into)
            })
            .clone()
            .map(BackendTarget::Service)
            .map_err(|message| Unresolved::new(message.to_string()))
    }
}

/// Why a reference leads nowhere.
struct Unresolved {
    message: String,
    /// False if the cause has been reported where it lies.
    report: bool,
}

impl Unresolved {
    fn new(message: String) -> Self {
        Self {
            message,
            report: true,
        }
    }
}
