use super::draft::Draft;
use super::inference::{ALPHA_GROUP, LLMD_GROUP, POOL_GROUP, PoolAlpha};
use super::{DEFAULT_NAMESPACE, Kind, Loaded, Meta, Objects, endpoint_file, route};
use crate::decode::{Fault, decode};
use crate::limits;
use crate::report::{Place, Report};
use crate::tree::{self, Node, Value};
use crate::{ObjectName, Source};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// What to do with an apiVersion and kind.
enum Recognised {
    Read(Kind),
    /// Known, and of no concern.
    Skip,
    /// A group and kind we know in a version we do not; holds the versions we do.
    WrongVersion(&'static str),
    Unknown,
}

fn recognise(api_version: &str, kind: &str) -> Recognised {
    use Recognised::{Read, Skip, Unknown, WrongVersion};
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let versions = |known: &'static str, recognised: Recognised| {
        if known.split(", ").any(|known| known == version) {
            recognised
        } else {
            WrongVersion(known)
        }
    };
    match (group, kind) {
        (GATEWAY_GROUP, "Gateway") => versions("v1, v1beta1", Read(Kind::Gateway)),
        (GATEWAY_GROUP, "HTTPRoute") => versions("v1, v1beta1", Read(Kind::HttpRoute)),
        (GATEWAY_GROUP, "ReferenceGrant") => versions("v1, v1beta1", Read(Kind::ReferenceGrant)),
        (GATEWAY_GROUP, "GatewayClass") => versions("v1, v1beta1", Skip),
        ("", "Service") => versions("v1", Read(Kind::Service)),
        ("", "Pod") => versions("v1", Read(Kind::Pod)),
        ("", "ConfigMap") => versions("v1", Read(Kind::ConfigMap)),
        ("", "Secret") => versions("v1", Read(Kind::Secret)),
        ("", "Namespace") => versions("v1", Read(Kind::Namespace)),
        ("discovery.k8s.io", "EndpointSlice") => versions("v1", Read(Kind::EndpointSlice)),
        (POOL_GROUP, "InferencePool") => versions("v1", Read(Kind::Pool)),
        (ALPHA_GROUP, "InferencePool") => versions("v1alpha2", Read(Kind::AlphaPool)),
        (LLMD_GROUP, "InferenceObjective") => versions("v1alpha2", Read(Kind::Objective)),
        (ALPHA_GROUP, "InferenceObjective") => versions("v1alpha2", Read(Kind::AlphaObjective)),
        (LLMD_GROUP, "InferenceModelRewrite") => versions("v1alpha2", Read(Kind::Rewrite)),
        (ALPHA_GROUP, "InferenceModelRewrite") => versions("v1alpha2", Read(Kind::AlphaRewrite)),
        _ => Unknown,
    }
}

/// Reads sources one after the other.
pub(super) struct Reader<'r> {
    report: &'r mut Report,
    objects: Objects,
    /// Where each object was first seen.
    seen: BTreeMap<(Kind, ObjectName), Place>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(report: &'r mut Report) -> Self {
        Self {
            report,
            objects: Objects::default(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn read(mut self, sources: &[&Source]) -> Objects {
        for source in sources {
            match tree::parse(&source.text) {
                Err(error) => {
                    let message = format!("is not valid YAML: {}", error.message);
                    self.report.source_error(&source.path, error.line, message);
                }
                Ok(documents) => {
                    for document in documents {
                        self.document(&source.path, document, None);
                    }
                }
            }
        }
        self.objects.sort();
        self.objects
    }

    /// Reads one document or one item of a List, which may leave its kind to the List.
    fn document(&mut self, source: &Arc<str>, document: Node, item_of: Option<(&str, &str)>) {
        let node = Arc::new(document);
        let place = |object| Place {
            source: Arc::clone(source),
            object,
            node: Arc::clone(&node),
        };
        if matches!(node.value, Value::Null) {
            return;
        }
        if !matches!(node.value, Value::Map(_)) {
            self.report.error(
                &place(None),
                "",
                "is not an object, want apiVersion, kind and metadata",
            );
            return;
        }
        let text = |key| node.get(key).and_then(Node::text);
        let kind = text("kind").or(item_of.map(|(_, kind)| kind));
        let api_version = text("apiVersion").or(item_of.map(|(version, _)| version));
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            if kind.is_none() && node.get("endpoints").is_some() {
                let read = endpoint_file::read(&place(None), &node, self.report);
                self.objects.endpoints.extend(read);
            } else {
                let message =
                    "has no apiVersion and kind, want both (or `endpoints` for an endpoint file)";
                self.report.error(&place(None), "", message);
            }
            return;
        };
        if let Some(item_kind) = list_of(api_version, kind) {
            for item in node.get("items").map_or(&[][..], Node::items) {
                self.document(
                    source,
                    item.clone(),
                    item_kind.map(|kind| (api_version, kind)),
                );
            }
            return;
        }
        let name = node
            .get("metadata")
            .and_then(|meta| meta.get("name"))
            .and_then(Node::text);
        let namespace = node
            .get("metadata")
            .and_then(|meta| meta.get("namespace"))
            .and_then(Node::text);
        let name = ObjectName::new(
            namespace.unwrap_or(DEFAULT_NAMESPACE),
            name.unwrap_or_default(),
        );
        let label = if name.name.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind} {name}")
        };
        let place = place(Some(label.into()));
        match recognise(api_version, kind) {
            Recognised::Read(kind) => self.object(kind, place, name),
            Recognised::Skip => {}
            Recognised::WrongVersion(known) => {
                let message =
                    format!("`{api_version}` is not known for {kind}, want version {known}");
                self.report.error(&place, "apiVersion", message);
            }
            Recognised::Unknown => {
                let message =
                    format!("ignored: {api_version} {kind} is not a kind that plimsoll reads");
                self.report.warning(&place, "kind", message);
            }
        }
    }

    fn object(&mut self, kind: Kind, place: Place, name: ObjectName) {
        if name.name.is_empty() {
            self.report
                .error(&place, "metadata.name", "is missing, want a name");
            return;
        }
        if let Some(first) = self.seen.get(&(kind, name.clone())) {
            let message = format!(
                "is defined twice, first at {}; keep one of them",
                first.start()
            );
            self.report.error(&place, "", message);
            return;
        }
        self.seen.insert((kind, name.clone()), place.clone());
        let mut faults = Vec::new();
        let mut rest = place.node.as_ref().clone();
        rest.take("apiVersion");
        rest.take("kind");
        let status = rest.take("status");
        let meta = rest
            .take("metadata")
            .and_then(|meta| decode::<ObjectMeta>(&meta, "metadata", &mut faults));
        let meta = meta.map(convert_meta).unwrap_or_default();
        if !limits::Form::Subdomain.fits(&name.name) || name.name.len() > 253 {
            let wants = limits::Form::Subdomain.wants();
            let message = format!("`{}` is not an object name, want {wants}", name.name);
            faults.push(Fault {
                path: "metadata.name".to_owned(),
                message,
            });
        }
        self.store(
            kind,
            Draft {
                place,
                name,
                meta,
                rest,
                status,
                faults,
            },
        );
    }

    fn store(&mut self, kind: Kind, mut draft: Draft) {
        let known = (kind, draft.name.clone());
        let complete = self.decode_into(kind, &mut draft);
        if !complete {
            self.objects.broken.insert(known);
        }
        for fault in draft.faults {
            self.report.error(&draft.place, fault.path, fault.message);
        }
    }

    /// Decodes and files the object; false if it cannot be decoded.
    fn decode_into(&mut self, kind: Kind, draft: &mut Draft) -> bool {
        let objects = &mut self.objects;
        match kind {
            Kind::Gateway => {
                limits::check(&draft.place.node, limits::GATEWAY, &mut draft.faults);
                file(&mut objects.gateways, draft, Draft::spec)
            }
            Kind::HttpRoute => {
                limits::check(&draft.place.node, limits::ROUTE, &mut draft.faults);
                file(&mut objects.routes, draft, |draft| {
                    let spec = draft.only("spec")?;
                    route::decode_route(spec, &mut draft.faults)
                })
            }
            Kind::ReferenceGrant => {
                limits::check(&draft.place.node, limits::GRANT, &mut draft.faults);
                file(&mut objects.grants, draft, Draft::spec)
            }
            Kind::Service => file_named(&mut objects.services, draft, Draft::spec),
            Kind::EndpointSlice => file(&mut objects.slices, draft, |draft| {
                draft.whole("discovery.k8s.io/v1", "EndpointSlice")
            }),
            Kind::Pod => file(&mut objects.pods, draft, Draft::pod),
            Kind::ConfigMap => file(&mut objects.config_maps, draft, |draft| {
                draft.whole("v1", "ConfigMap")
            }),
            Kind::Secret => file_named(&mut objects.secrets, draft, Draft::secret),
            Kind::Namespace => {
                // A Namespace has no namespace; its labels always hold its own name.
                let mut labels = draft.meta.labels.clone();
                let name = draft.name.name.to_string();
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.clone());
                objects.namespaces.insert(name, labels);
                true
            }
            Kind::Pool | Kind::AlphaPool => {
                limits::check(&draft.place.node, limits::POOL, &mut draft.faults);
                let alpha = kind == Kind::AlphaPool;
                file(&mut objects.pools, draft, |draft| {
                    if alpha {
                        draft.spec::<PoolAlpha>().map(Into::into)
                    } else {
                        draft.pool()
                    }
                })
            }
            Kind::Objective | Kind::AlphaObjective => {
                limits::check(&draft.place.node, limits::OBJECTIVE, &mut draft.faults);
                file(&mut objects.objectives, draft, Draft::spec)
            }
            Kind::Rewrite | Kind::AlphaRewrite => {
                limits::check(&draft.place.node, limits::REWRITE, &mut draft.faults);
                file(&mut objects.rewrites, draft, Draft::spec)
            }
        }
    }
}

/// The kind of the items if this is a list: `Some(None)` for the plain `List`, whose items say it.
fn list_of<'k>(api_version: &str, kind: &'k str) -> Option<Option<&'k str>> {
    if api_version == "v1" && kind == "List" {
        return Some(None);
    }
    let item = kind.strip_suffix("List")?;
    matches!(
        recognise(api_version, item),
        Recognised::Read(_) | Recognised::Skip
    )
    .then_some(Some(item))
}

fn convert_meta(meta: ObjectMeta) -> Meta {
    Meta {
        created: meta.creation_timestamp.map(|time| time.0.as_second()),
        deleting: meta.deletion_timestamp.is_some(),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
    }
}

fn file<T>(
    list: &mut Vec<Loaded<T>>,
    draft: &mut Draft,
    decode: impl FnOnce(&mut Draft) -> Option<T>,
) -> bool {
    let loaded = draft.load(decode);
    let complete = loaded.is_some();
    list.extend(loaded);
    complete
}

fn file_named<T>(
    map: &mut BTreeMap<ObjectName, Loaded<T>>,
    draft: &mut Draft,
    decode: impl FnOnce(&mut Draft) -> Option<T>,
) -> bool {
    let loaded = draft.load(decode);
    let complete = loaded.is_some();
    map.extend(loaded.map(|loaded| (loaded.name.clone(), loaded)));
    complete
}
