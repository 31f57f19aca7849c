mod allowed;
mod attach;

use super::grants::{Crossing, Grants};
use super::routes::BuiltRoute;
use super::secrets;
use crate::objects::{Kind, Loaded, Objects};
use crate::report::Report;
use crate::{CertifiedPem, Hostname, Listener, ListenerProtocol, ObjectName};
use allowed::AllowedRoutes;
use gateway_api::apis::standard::gateways::{
    GatewayListeners, GatewayListenersTls, GatewayListenersTlsCertificateRefs,
    GatewayListenersTlsMode, GatewaySpec,
};
use std::sync::Arc;

/// A listener while routes are being attached.
struct Draft<'o> {
    source: &'o Loaded<GatewaySpec>,
    /// Place of the listener in its Gateway.
    index: usize,
    spec: &'o GatewayListeners,
    allowed: AllowedRoutes,
    listener: Listener,
    /// False if it will be left out. Routes may still attach to it, so that they are not reported
    /// for a fault that is not theirs.
    usable: bool,
}

impl Draft<'_> {
    fn path(&self) -> String {
        format!("spec.listeners[{}]", self.index)
    }
}

/// Builds all usable listeners and attaches routes to them.
pub(super) fn build(
    objects: &Objects,
    routes: &[BuiltRoute<'_>],
    report: &mut Report,
) -> Vec<Listener> {
    let mut drafts = Vec::new();
    for gateway in objects
        .gateways
        .iter()
        .filter(|gateway| !gateway.meta.deleting)
    {
        check_gateway(gateway, report);
        for (index, spec) in gateway.spec.listeners.iter().enumerate() {
            drafts.extend(draft(gateway, index, spec, objects, report));
        }
    }
    refuse_conflicts(&mut drafts, report);
    attach::all(&mut drafts, routes, objects, report);
    if objects.gateways.is_empty() && !objects.has_broken(Kind::Gateway) {
        let message = "there are HTTPRoutes but no Gateway, so nothing listens; add a Gateway";
        report.option_error("input", message.to_owned());
    }
    drafts
        .into_iter()
        .filter(|draft| draft.usable)
        .map(|draft| draft.listener)
        .collect()
}

fn check_gateway(gateway: &Loaded<GatewaySpec>, report: &mut Report) {
    let place = &gateway.place;
    if let Some(tls) = &gateway.spec.tls {
        // To leave these out would let in clients, or talk to servers, that the author shut out.
        if tls.frontend.is_some() {
            let message = "is not supported: client certificates are not checked; take it out";
            report.error(place, "spec.tls.frontend", message);
        }
        if tls.backend.is_some() {
            let message =
                "is not supported: no client certificate is sent to backends; take it out";
            report.error(place, "spec.tls.backend", message);
        }
    }
    if gateway
        .spec
        .addresses
        .as_ref()
        .is_some_and(|addresses| !addresses.is_empty())
    {
        let message = "is ignored: listeners bind every address of this machine";
        report.warning(place, "spec.addresses", message);
    }
}

fn draft<'o>(
    source: &'o Loaded<GatewaySpec>,
    index: usize,
    spec: &'o GatewayListeners,
    objects: &Objects,
    report: &mut Report,
) -> Option<Draft<'o>> {
    let path = format!("spec.listeners[{index}]");
    // Ports and hostnames that are none have been reported against the table of limits.
    let port = u16::try_from(spec.port).ok()?;
    let hostname = match &spec.hostname {
        Some(name) => Some(Hostname::parse(name).ok()?),
        None => None,
    };
    let allowed = AllowedRoutes::build(source, index, spec, report);
    let protocol = match spec.protocol.as_str() {
        "HTTP" => Some(ListenerProtocol::Http),
        "HTTPS" => Some(ListenerProtocol::Https),
        other => {
            let message =
                format!("`{other}` is not supported, want HTTP or HTTPS; the listener is left out");
            report.warning(&source.place, format!("{path}.protocol"), message);
            None
        }
    };
    let tls = tls(source, spec, &path, objects, report);
    let usable =
        protocol.is_some() && (protocol == Some(ListenerProtocol::Http) || !tls.is_empty());
    let listener = Listener {
        gateway: source.name.clone(),
        name: spec.name.as_str().into(),
        port,
        protocol: protocol.unwrap_or(ListenerProtocol::Http),
        hostname,
        tls,
        routes: Vec::new(),
    };
    Some(Draft {
        source,
        index,
        spec,
        allowed,
        listener,
        usable,
    })
}

/// Certificates of a listener, after the rules that join its protocol and `tls`.
fn tls(
    source: &Loaded<GatewaySpec>,
    spec: &GatewayListeners,
    path: &str,
    objects: &Objects,
    report: &mut Report,
) -> Vec<Arc<CertifiedPem>> {
    let place = &source.place;
    let path = format!("{path}.tls");
    match (spec.protocol.as_str(), &spec.tls) {
        ("HTTP" | "TCP" | "UDP", Some(_)) => {
            let message = format!(
                "does not belong to protocol {}, want protocol HTTPS",
                spec.protocol
            );
            report.error(place, path, message);
            Vec::new()
        }
        ("HTTPS", Some(tls)) => {
            if tls.mode == Some(GatewayListenersTlsMode::Passthrough) {
                let message = "`Passthrough` does not belong to protocol HTTPS, want Terminate";
                report.error(place, format!("{path}.mode"), message);
            }
            certificates(source, tls, &path, objects, report)
        }
        ("HTTPS", None) => {
            let message = "is missing, so the listener is left out; want certificateRefs";
            report.warning(place, path, message);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn certificates(
    source: &Loaded<GatewaySpec>,
    tls: &GatewayListenersTls,
    path: &str,
    objects: &Objects,
    report: &mut Report,
) -> Vec<Arc<CertifiedPem>> {
    let references = tls.certificate_refs.as_deref().unwrap_or_default();
    let path = format!("{path}.certificateRefs");
    if references.is_empty() {
        let message = "is missing or empty, want a reference to a Secret of type kubernetes.io/tls";
        if tls
            .options
            .as_ref()
            .is_some_and(|options| !options.is_empty())
        {
            report.warning(
                &source.place,
                path,
                format!("{message}; the listener is left out"),
            );
        } else {
            report.error(&source.place, path, message);
        }
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, reference) in references.iter().enumerate() {
        match certificate(source, reference, objects) {
            Ok(certificate) => found.push(Arc::new(certificate)),
            Err(message) => {
                let message = format!("{message}; the certificate is left out");
                report.warning(&source.place, format!("{path}[{index}]"), message);
            }
        }
    }
    if found.is_empty() {
        report.warning(
            &source.place,
            path,
            "gives no certificate, so the listener is left out",
        );
    }
    found
}

fn certificate(
    source: &Loaded<GatewaySpec>,
    reference: &GatewayListenersTlsCertificateRefs,
    objects: &Objects,
) -> Result<CertifiedPem, String> {
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    if !group.is_empty() || kind != "Secret" {
        return Err(format!(
            "kind {kind} of group `{group}` is not supported, want a core Secret"
        ));
    }
    let namespace = reference
        .namespace
        .as_deref()
        .unwrap_or(&source.name.namespace);
    let crossing = Crossing {
        from_group: "gateway.networking.k8s.io",
        from_kind: "Gateway",
        from_namespace: &source.name.namespace,
        to_group: "",
        to_kind: "Secret",
        to_namespace: namespace,
        to_name: &reference.name,
    };
    if !Grants::new(&objects.grants).allow(crossing) {
        return Err(crossing.missing());
    }
    let name = ObjectName::new(namespace, reference.name.as_str());
    let secret = objects
        .secrets
        .get(&name)
        .ok_or_else(|| format!("Secret {name} is not among the manifests"))?;
    secrets::certified(&secret.spec).map_err(|reason| format!("Secret {name}: {reason}"))
}

/// Listeners that cannot be told apart are all refused (Gateway API, `ListenerConditionConflicted`);
/// listeners of several Gateways with the same port and hostname are merged instead, because all
/// Gateways share one process here.
fn refuse_conflicts(drafts: &mut [Draft<'_>], report: &mut Report) {
    for index in 0..drafts.len() {
        let draft = &drafts[index];
        if !draft.usable {
            continue;
        }
        let (path, this) = (draft.path(), &draft.listener);
        let on_port = |other: &&Draft<'_>| {
            other.listener.port == this.port
                && (other.listener.gateway != this.gateway || other.index != draft.index)
        };
        let mixed = drafts.iter().filter(on_port).find(|other| {
            other.listener.protocol != this.protocol
                && matches!(other.spec.protocol.as_str(), "HTTP" | "HTTPS")
        });
        if let Some(other) = mixed {
            let message = format!(
                "port {} is also used by listener {} of Gateway {} with protocol {}; both are left out",
                this.port, other.spec.name, other.source.name, other.spec.protocol
            );
            report.warning(&draft.source.place, format!("{path}.port"), message);
            drafts[index].usable = false;
            continue;
        }
        let twin = drafts[..index].iter().filter(on_port).find(|other| {
            other.listener.hostname == this.hostname && other.listener.protocol == this.protocol
        });
        let Some(other) = twin else { continue };
        if other.listener.gateway == this.gateway {
            let message = format!(
                "has the port, protocol and hostname of listener {}, want each combination once",
                other.spec.name
            );
            report.error(&draft.source.place, path, message);
        } else {
            let message = format!(
                "has the port and hostname of listener {} of Gateway {}; their routes are merged",
                other.spec.name, other.source.name
            );
            report.warning(&draft.source.place, path, message);
        }
    }
}
