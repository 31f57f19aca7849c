use crate::build::selector::{Operator, Requirement, selects};
use crate::objects::{Loaded, Objects};
use crate::report::Report;
use gateway_api::apis::standard::gateways::{
    GatewayListeners, GatewayListenersAllowedRoutesNamespaces as Namespaces,
    GatewayListenersAllowedRoutesNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector as Selector, GatewaySpec,
};
use std::collections::BTreeMap;

/// Which routes a listener lets in.
pub(super) struct AllowedRoutes {
    http_routes: bool,
    namespaces: AllowedNamespaces,
}

enum AllowedNamespaces {
    All,
    Same,
    Selected {
        labels: BTreeMap<String, String>,
        requirements: Vec<Requirement>,
    },
    None,
}

impl AllowedRoutes {
    /// Reads `allowedRoutes` of a listener.
    pub(super) fn build(
        source: &Loaded<GatewaySpec>,
        index: usize,
        spec: &GatewayListeners,
        report: &mut Report,
    ) -> Self {
        let path = format!("spec.listeners[{index}].allowedRoutes");
        let allowed = spec.allowed_routes.as_ref();
        let kinds = allowed
            .and_then(|allowed| allowed.kinds.as_deref())
            .unwrap_or_default();
        let mut http_routes = kinds.is_empty();
        for (index, kind) in kinds.iter().enumerate() {
            let group = kind.group.as_deref().unwrap_or("gateway.networking.k8s.io");
            if group == "gateway.networking.k8s.io" && kind.kind == "HTTPRoute" {
                http_routes = true;
            } else {
                let message = format!("`{}` is not supported, want HTTPRoute", kind.kind);
                report.warning(
                    &source.place,
                    format!("{path}.kinds[{index}].kind"),
                    message,
                );
            }
        }
        let namespaces = allowed.and_then(|allowed| allowed.namespaces.as_ref());
        let namespaces = namespaces_of(source, namespaces, &format!("{path}.namespaces"), report);
        Self {
            http_routes,
            namespaces,
        }
    }

    /// `Err` says why an HTTPRoute of `namespace` may not attach to a listener of `own`.
    pub(super) fn admit(
        &self,
        namespace: &str,
        own: &str,
        objects: &Objects,
    ) -> Result<(), String> {
        if !self.http_routes {
            return Err("allows no HTTPRoutes".to_owned());
        }
        match &self.namespaces {
            AllowedNamespaces::All => Ok(()),
            AllowedNamespaces::Same if namespace == own => Ok(()),
            AllowedNamespaces::Same => Err(format!("allows routes of namespace {own} only")),
            AllowedNamespaces::None => Err("selects no namespace".to_owned()),
            AllowedNamespaces::Selected {
                labels,
                requirements,
            } => {
                // Every namespace has this label, whether or not a manifest shows it.
                let implied = [(
                    "kubernetes.io/metadata.name".to_owned(),
                    namespace.to_owned(),
                )]
                .into();
                let own = objects.namespaces.get(namespace).unwrap_or(&implied);
                let selected = selects(labels, own)
                    && requirements
                        .iter()
                        .all(|requirement| requirement.holds(own));
                if selected {
                    Ok(())
                } else {
                    Err(format!(
                        "does not select namespace {namespace}; its Namespace object must be among \
                         the manifests, with the labels that are asked for"
                    ))
                }
            }
        }
    }
}

fn namespaces_of(
    source: &Loaded<GatewaySpec>,
    spec: Option<&Namespaces>,
    path: &str,
    report: &mut Report,
) -> AllowedNamespaces {
    match spec.and_then(|spec| spec.from.as_ref()) {
        None | Some(From::Same) => AllowedNamespaces::Same,
        Some(From::All) => AllowedNamespaces::All,
        Some(From::Selector) => match spec.and_then(|spec| spec.selector.as_ref()) {
            Some(selector) => selected(source, selector, &format!("{path}.selector"), report),
            None => {
                let message = "is missing, so no namespace is selected; want a label selector";
                report.warning(&source.place, format!("{path}.selector"), message);
                AllowedNamespaces::None
            }
        },
    }
}

fn selected(
    source: &Loaded<GatewaySpec>,
    selector: &Selector,
    path: &str,
    report: &mut Report,
) -> AllowedNamespaces {
    let mut requirements = Vec::new();
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let values = expression.values.as_deref().unwrap_or_default();
        match Operator::parse(&expression.operator, values) {
            Ok(operator) => requirements.push(Requirement {
                key: expression.key.clone(),
                operator,
            }),
            Err(message) => {
                let path = format!("{path}.matchExpressions[{index}].operator");
                report.error(&source.place, path, message);
            }
        }
    }
    let labels = selector.match_labels.clone().unwrap_or_default();
    AllowedNamespaces::Selected {
        labels,
        requirements,
    }
}
