use super::Draft;
use crate::build::routes::BuiltRoute;
use crate::objects::{Kind, Objects};
use crate::report::Report;
use crate::{AttachedRoute, Hostname, ObjectName};
use gateway_api::apis::standard::httproutes::HttpRouteParentRefs as ParentRef;
use std::sync::Arc;

/// Attaches every route to the listeners that its parentRefs name and that let it in.
pub(super) fn all(
    drafts: &mut [Draft<'_>],
    routes: &[BuiltRoute<'_>],
    objects: &Objects,
    report: &mut Report,
) {
    for route in routes {
        let references = route
            .source
            .spec
            .spec
            .parent_refs
            .as_deref()
            .unwrap_or_default();
        if references.is_empty() {
            let message = "is missing, so the route attaches to nothing; want a Gateway";
            report.warning(&route.source.place, "spec.parentRefs", message);
        }
        for (index, reference) in references.iter().enumerate() {
            let path = format!("spec.parentRefs[{index}]");
            if distinct(route, references, index, &path, report) {
                one(drafts, route, reference, &path, objects, report);
            }
        }
    }
}

fn parent(reference: &ParentRef, route: &ObjectName) -> (String, String, ObjectName) {
    let namespace = reference.namespace.as_deref().unwrap_or(&route.namespace);
    (
        reference
            .group
            .clone()
            .unwrap_or_else(|| "gateway.networking.k8s.io".to_owned()),
        reference
            .kind
            .clone()
            .unwrap_or_else(|| "Gateway".to_owned()),
        ObjectName::new(namespace, reference.name.as_str()),
    )
}

/// References to the same parent must differ in their section, and all or none must name one.
fn distinct(
    route: &BuiltRoute<'_>,
    references: &[ParentRef],
    index: usize,
    path: &str,
    report: &mut Report,
) -> bool {
    let name = &route.source.name;
    let this = &references[index];
    let same = |other: &&ParentRef| parent(other, name) == parent(this, name);
    let key = |reference: &ParentRef| (reference.section_name.clone(), reference.port);
    let mut earlier = references[..index].iter().filter(same);
    if earlier.clone().any(|other| key(other) == key(this)) {
        let message = "names the same parent and section as one before it, want each once";
        report.error(&route.source.place, path, message);
        return false;
    }
    if earlier.any(|other| other.section_name.is_some() != this.section_name.is_some()) {
        let message = "names a parent that another parentRef names too; want sectionName in all of them or in none";
        report.error(&route.source.place, path, message);
        return false;
    }
    true
}

fn one(
    drafts: &mut [Draft<'_>],
    route: &BuiltRoute<'_>,
    reference: &ParentRef,
    path: &str,
    objects: &Objects,
    report: &mut Report,
) {
    let place = &route.source.place;
    let (group, kind, gateway) = parent(reference, &route.source.name);
    if group != "gateway.networking.k8s.io" || kind != "Gateway" {
        let message = format!("{kind} of group `{group}` cannot be a parent here, want a Gateway");
        report.warning(place, format!("{path}.kind"), message);
        return;
    }
    if !objects.gateways.iter().any(|known| known.name == gateway) {
        if !objects.is_broken(Kind::Gateway, &gateway) {
            let message = format!(
                "Gateway {gateway} is not among the manifests, so the route does not attach to it"
            );
            report.warning(place, path, message);
        }
        return;
    }
    let mut refusals = Vec::new();
    let mut attached = false;
    let mut known = Vec::new();
    for draft in drafts
        .iter_mut()
        .filter(|draft| draft.listener.gateway == gateway)
    {
        known.push(format!(
            "{} (port {})",
            draft.listener.name, draft.listener.port
        ));
        if !names(reference, draft) {
            continue;
        }
        match attach(draft, route, objects) {
            Ok(()) => attached = true,
            Err(refusal) => refusals.push(format!("listener {} {refusal}", draft.listener.name)),
        }
    }
    if attached {
        return;
    }
    if refusals.is_empty() {
        no_such_listener(route, reference, path, &gateway, &known, report);
    } else {
        let refusals = refusals.join("; ");
        let message = format!("the route does not attach to Gateway {gateway}: {refusals}");
        report.warning(place, path, message);
    }
}

fn no_such_listener(
    route: &BuiltRoute<'_>,
    reference: &ParentRef,
    path: &str,
    gateway: &ObjectName,
    known: &[String],
    report: &mut Report,
) {
    let (key, wanted) = match (&reference.section_name, reference.port) {
        (Some(section), _) => (".sectionName", format!("named {section}")),
        (None, Some(port)) => (".port", format!("on port {port}")),
        (None, None) => ("", "at all".to_owned()),
    };
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    let message = format!("Gateway {gateway} has no listener {wanted}; it has {known}");
    report.warning(&route.source.place, format!("{path}{key}"), message);
}

fn names(reference: &ParentRef, draft: &Draft<'_>) -> bool {
    let section = reference.section_name.as_deref();
    section.is_none_or(|section| section == &*draft.listener.name)
        && reference
            .port
            .is_none_or(|port| port == i32::from(draft.listener.port))
}

/// `Err` says why not.
fn attach(draft: &mut Draft<'_>, route: &BuiltRoute<'_>, objects: &Objects) -> Result<(), String> {
    let namespace = &route.source.name.namespace;
    draft
        .allowed
        .admit(namespace, &draft.listener.gateway.namespace, objects)?;
    let hostnames =
        effective(draft.listener.hostname.as_ref(), &route.hostnames).ok_or_else(|| {
            let own = draft.listener.hostname.as_ref().map(ToString::to_string);
            format!(
                "serves hostname {}, which no hostname of the route meets",
                own.unwrap_or_default()
            )
        })?;
    let known = draft
        .listener
        .routes
        .iter()
        .any(|known| Arc::ptr_eq(&known.route, &route.route));
    if !known && !route.route.rules.is_empty() {
        draft.listener.routes.push(AttachedRoute {
            route: Arc::clone(&route.route),
            hostnames,
        });
    }
    Ok(())
}

/// The hostnames that both serve; `None` if there are none, empty for every one.
fn effective(listener: Option<&Hostname>, route: &[Hostname]) -> Option<Vec<Hostname>> {
    let Some(listener) = listener else {
        return Some(route.to_vec());
    };
    if route.is_empty() {
        return Some(vec![listener.clone()]);
    }
    let mut common: Vec<Hostname> = Vec::new();
    for hostname in route
        .iter()
        .filter_map(|hostname| hostname.intersect(listener))
    {
        if !common.contains(&hostname) {
            common.push(hostname);
        }
    }
    (!common.is_empty()).then_some(common)
}
