use crate::objects::{Loaded, PodView};
use k8s_openapi::api::core::v1::Container;
use std::collections::BTreeSet;

/// Annotations that limit which target ports of a pod are live; the first one present counts.
const ACTIVE_PORTS: [&str; 2] = [
    "llm-d.ai/active-ports",
    "inference.networking.k8s.io/active-ports",
];

/// True if the pod may get requests.
///
/// A file that a person wrote has no conditions: a pod without a `Ready` condition counts as ready.
/// One that is being deleted, has ended, or has no address does not.
pub(super) fn is_ready(pod: &Loaded<PodView>) -> bool {
    let ended = matches!(
        pod.spec.status.phase.as_deref(),
        Some("Failed" | "Succeeded")
    );
    let condition = pod
        .spec
        .status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Ready");
    let ready = condition.is_none_or(|condition| condition.status == "True");
    ready && !ended && !pod.meta.deleting && address(pod).is_some()
}

/// Address of the pod, if it has one yet.
pub(super) fn address(pod: &Loaded<PodView>) -> Option<&str> {
    pod.spec
        .status
        .pod_ip
        .as_deref()
        .filter(|address| !address.is_empty())
}

/// Ports the pod's annotation declares live; `None` without annotation means all.
///
/// Items are read leniently, as the pickers in the field do: leading digits count, other items are
/// passed over, and an annotation without any port takes the pod out.
pub(super) fn active_ports(pod: &Loaded<PodView>) -> Option<BTreeSet<u16>> {
    let text = ACTIVE_PORTS
        .iter()
        .find_map(|key| pod.meta.annotations.get(*key))?;
    let leading = |item: &str| {
        let item = item.trim();
        let digits = item.bytes().take_while(u8::is_ascii_digit).count();
        item[..digits].parse::<u16>().ok()
    };
    Some(text.split(',').filter_map(leading).collect())
}

/// The port of a container that has this name.
pub(super) fn named_port(pod: &Loaded<PodView>, name: &str) -> Option<u16> {
    let ports = |container: &Container| container.ports.clone().unwrap_or_default();
    let mut all = pod.spec.spec.containers.iter().flat_map(ports);
    let port = all.find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}
