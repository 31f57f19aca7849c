use super::inference::PoolV1;
use super::{Loaded, Meta, PodStatusView, PodView};
use crate::ObjectName;
use crate::decode::{Fault, decode};
use crate::report::Place;
use crate::tree::{Node, Value};
use serde::de::DeserializeOwned;

/// An object whose kind is known, taken apart.
pub(super) struct Draft {
    pub(super) place: Place,
    pub(super) name: ObjectName,
    pub(super) meta: Meta,
    /// The object without apiVersion, kind, metadata and status.
    pub(super) rest: Node,
    pub(super) status: Option<Node>,
    pub(super) faults: Vec<Fault>,
}

impl Draft {
    pub(super) fn load<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Loaded<T>> {
        let spec = decode(self)?;
        let (place, name, meta) = (self.place.clone(), self.name.clone(), self.meta.clone());
        Some(Loaded {
            place,
            name,
            meta,
            spec,
        })
    }

    /// Takes the one field an object has beside its metadata and status.
    pub(super) fn only(&mut self, key: &str) -> Option<Node> {
        let node = self.rest.take(key);
        for (other, _) in self.rest.entries() {
            let message = format!("unknown field, want only metadata and {key} here");
            self.faults.push(Fault {
                path: other.clone(),
                message,
            });
        }
        if node.is_none() {
            self.faults.push(Fault {
                path: key.to_owned(),
                message: "is missing".to_owned(),
            });
        }
        node
    }

    pub(super) fn spec<T: DeserializeOwned>(&mut self) -> Option<T> {
        let spec = self.only("spec")?;
        decode(&spec, "spec", &mut self.faults)
    }

    /// Decodes a type of `k8s-openapi`, which insists on its apiVersion and kind.
    pub(super) fn whole<T: DeserializeOwned>(
        &mut self,
        api_version: &str,
        kind: &str,
    ) -> Option<T> {
        let mut node = self.rest.clone();
        if let Value::Map(entries) = &mut node.value {
            let text = |text: &str| Node {
                line: 0,
                value: Value::Text(text.to_owned()),
            };
            entries.push(("apiVersion".to_owned(), text(api_version)));
            entries.push(("kind".to_owned(), text(kind)));
        }
        decode(&node, "", &mut self.faults)
    }

    /// What serde says of a wrong value may quote it, so faults of Secrets keep only their path.
    pub(super) fn secret<T: DeserializeOwned>(&mut self) -> Option<T> {
        let before = self.faults.len();
        let secret = self.whole("v1", "Secret");
        if secret.is_none() {
            for fault in &mut self.faults[before..] {
                "is not valid, want text, base64-encoded under `data`"
                    .clone_into(&mut fault.message);
            }
        }
        secret
    }

    pub(super) fn pod(&mut self) -> Option<PodView> {
        let spec = self.spec()?;
        let status = match self.status.take() {
            None => PodStatusView::default(),
            Some(status) => {
                let mut faults = Vec::new();
                let status = decode(&status, "status", &mut faults);
                if status.is_none() {
                    self.faults.append(&mut faults);
                }
                status?
            }
        };
        Some(PodView { spec, status })
    }

    pub(super) fn pool(&mut self) -> Option<super::PoolSpec> {
        let pool: PoolV1 = self.spec()?;
        if let Some(picker) = &pool.endpoint_picker_ref {
            let is_service = picker.kind.as_deref().unwrap_or("Service") == "Service";
            if is_service && picker.port.is_none() {
                let path = "spec.endpointPickerRef.port".to_owned();
                let message = "is missing, want a port for kind Service".to_owned();
                self.faults.push(Fault { path, message });
            }
        }
        Some(pool.into())
    }
}
