use super::{pods, selector};
use crate::objects::{Loaded, Objects, PodView};
use crate::{AppProtocol, EndpointSpec, ObjectName, Scheme, Service};
use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Label of an EndpointSlice that names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Finds the endpoints of one port of a Service: from its EndpointSlices if there are any, else
/// from the pods it selects. `Err` says why the port cannot be used.
pub(super) fn resolve(
    service: &Loaded<ServiceSpec>,
    port: u16,
    objects: &Objects,
) -> Result<Service, String> {
    if service.spec.type_.as_deref() == Some("ExternalName") {
        // Advised against by the Gateway API since CVE-2021-25740.
        return Err(format!(
            "Service {} is of type ExternalName, want one with a selector or with an EndpointSlice \
             (addressType FQDN for a DNS name)",
            service.name
        ));
    }
    let ports = service.spec.ports.as_deref().unwrap_or_default();
    let Some(service_port) = ports.iter().find(|known| known.port == i32::from(port)) else {
        let known: Vec<String> = ports.iter().map(|port| port.port.to_string()).collect();
        return Err(format!(
            "Service {} has no port {port}, only {}",
            service.name,
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        ));
    };
    let (app_protocol, scheme) = protocol(service_port, &service.name)?;
    let mut endpoints = from_slices(&service.name, service_port, scheme, objects)
        .unwrap_or_else(|| from_pods(service, service_port, scheme, objects));
    endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    endpoints.dedup_by(|a, b| a.host == b.host && a.port == b.port);
    Ok(Service {
        name: service.name.clone(),
        port,
        endpoints,
        app_protocol,
    })
}

fn protocol(port: &ServicePort, name: &ObjectName) -> Result<(AppProtocol, Scheme), String> {
    if port
        .protocol
        .as_deref()
        .is_some_and(|protocol| protocol != "TCP")
    {
        return Err(format!("port {} of Service {name} is not TCP", port.port));
    }
    match port.app_protocol.as_deref() {
        None | Some("http" | "kubernetes.io/ws") => Ok((AppProtocol::Http1, Scheme::Http)),
        Some("https" | "kubernetes.io/wss") => Ok((AppProtocol::Http1, Scheme::Https)),
        Some("kubernetes.io/h2c" | "h2c" | "grpc" | "http2") => {
            Ok((AppProtocol::H2c, Scheme::Http))
        }
        Some(other) => Err(format!(
            "appProtocol `{other}` of Service {name} is not supported, want http, https or \
             kubernetes.io/h2c"
        )),
    }
}

/// `None` if the Service has no slices.
fn from_slices(
    name: &ObjectName,
    port: &ServicePort,
    scheme: Scheme,
    objects: &Objects,
) -> Option<Vec<EndpointSpec>> {
    let ours = |slice: &&Loaded<EndpointSlice>| {
        slice.name.namespace == name.namespace
            && slice.meta.labels.get(SERVICE_LABEL).map(String::as_str) == Some(&*name.name)
    };
    let mut slices = objects.slices.iter().filter(ours).peekable();
    slices.peek()?;
    let mut endpoints = Vec::new();
    for slice in slices {
        let wanted = port.name.as_deref().unwrap_or_default();
        let ports = slice.spec.ports.as_deref().unwrap_or_default();
        let number = ports
            .iter()
            .find(|port| port.name.as_deref().unwrap_or_default() == wanted)
            .and_then(|port| port.port)
            .and_then(|port| u16::try_from(port).ok());
        let Some(number) = number else { continue };
        for endpoint in slice
            .spec
            .endpoints
            .iter()
            .filter(|endpoint| is_ready(endpoint))
        {
            endpoints.extend(from_endpoint(endpoint, name, number, scheme));
        }
    }
    Some(endpoints)
}

/// A condition that is not set counts as ready (EndpointSlice API).
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .and_then(|conditions| conditions.ready)
        .unwrap_or(true)
}

/// The addresses of an endpoint are the same server; the first one is used (EndpointSlice API).
fn from_endpoint(
    endpoint: &Endpoint,
    service: &ObjectName,
    port: u16,
    scheme: Scheme,
) -> Option<EndpointSpec> {
    let host = endpoint.addresses.first()?;
    let pod = endpoint
        .target_ref
        .as_ref()
        .and_then(|target| target.name.as_deref());
    let local = pod.map_or_else(|| format!("{host}:{port}"), str::to_owned);
    Some(EndpointSpec {
        name: format!("{}/{local}", service.namespace).into(),
        host: host.as_str().into(),
        port,
        scheme,
        labels: Arc::new(BTreeMap::new()),
        rank: 0,
        ready: true,
    })
}

fn from_pods(
    service: &Loaded<ServiceSpec>,
    port: &ServicePort,
    scheme: Scheme,
    objects: &Objects,
) -> Vec<EndpointSpec> {
    let Some(wanted) = service
        .spec
        .selector
        .as_ref()
        .filter(|labels| !labels.is_empty())
    else {
        return Vec::new();
    };
    let target = |pod: &Loaded<PodView>| match &port.target_port {
        None => u16::try_from(port.port).ok(),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        Some(IntOrString::String(name)) => pods::named_port(pod, name),
    };
    objects
        .pods
        .iter()
        .filter(|pod| pod.name.namespace == service.name.namespace)
        .filter(|pod| selector::selects(wanted, &pod.meta.labels) && pods::is_ready(pod))
        .filter_map(|pod| {
            Some(EndpointSpec {
                name: pod.name.to_string().into(),
                host: pods::address(pod)?.into(),
                port: target(pod)?,
                scheme,
                labels: Arc::new(pod.meta.labels.clone()),
                rank: 0,
                ready: true,
            })
        })
        .collect()
}
