//! `disaggregatedset-rollout-screener`: while a disaggregated set rolls out, a request stays within
//! one revision of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::{Endpoint, Time};

use crate::draw::unit;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Flight, HeaderChange, HeaderChanges, ResponseHeaders, Screener};

pub(super) const KIND: Kind = Kind::new::<Rollout>(
    "disaggregatedset-rollout-screener",
    Roles::SCREENER.and(Roles::RESPONSE),
)
.alpha();

/// Which pods belong together, and how traffic is shared between revisions.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rollout {
    /// The pods of the set.
    #[schemars(required)]
    scope: Scope,
    /// Headers that name label values.
    header_selectors: Vec<HeaderSelector>,
    /// How a revision is chosen.
    #[schemars(required)]
    revision_gating: Option<Gating>,
}

/// The pods of the set.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    /// Labels they have, as `key=value,key=value`.
    #[schemars(required)]
    label_selector: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SelectorMode {
    /// Only endpoints whose label equals the header.
    Strict,
    /// All endpoints; the answer tells the label.
    Prefer,
}

/// A header that names a label value, in requests and in answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct HeaderSelector {
    /// Its name, unique among the selectors.
    #[schemars(required)]
    name: String,
    /// The header, in any case.
    #[schemars(required)]
    header_name: String,
    /// The label.
    #[schemars(required)]
    label_key: String,
    /// Whether it binds.
    #[schemars(required)]
    mode: Option<SelectorMode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum GatingMode {
    /// By pods of all required roles together.
    Sum,
    /// By pods of the role that has most.
    MaxRole,
    /// Not at all.
    Disabled,
}

/// How a revision is chosen.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Gating {
    #[schemars(required)]
    mode: Option<GatingMode>,
    /// Label of the revision.
    revision_label_key: String,
    /// Label of the role.
    role_label_key: String,
    /// Roles that a revision must have to get traffic.
    require_roles: RequiredRoles,
}

impl Default for Gating {
    fn default() -> Self {
        Self {
            mode: None,
            revision_label_key: "disaggregatedset.x-k8s.io/revision".to_owned(),
            role_label_key: "disaggregatedset.x-k8s.io/role".to_owned(),
            require_roles: RequiredRoles::default(),
        }
    }
}

/// Roles that a revision must have.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RequiredRoles {
    /// Their names.
    values: Vec<String>,
}

#[derive(Debug)]
struct Selector {
    header: HeaderName,
    label: String,
    strict: bool,
}

#[derive(Debug)]
struct Screen {
    scope: Vec<(String, String)>,
    selectors: Vec<Selector>,
    mode: GatingMode,
    revision: String,
    role: String,
    roles: Vec<String>,
}

impl PluginType for Rollout {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let scope = scope(&self.scope.label_selector, build);
        let selectors = selectors(&self.header_selectors, build);
        let Some(gating) = self.revision_gating else {
            let message = "revisionGating is required, with mode sum, max-role or disabled";
            build.fault("revisionGating", message);
            return Instance::default();
        };
        let Some(mode) = gating.mode else {
            let message = "revisionGating.mode is required: sum, max-role or disabled";
            build.fault("revisionGating.mode", message);
            return Instance::default();
        };
        let roles = gating.require_roles.values;
        if mode != GatingMode::Disabled && roles.is_empty() {
            let message = "revisionGating.requireRoles.values is required unless mode is disabled";
            build.fault("revisionGating.requireRoles.values", message);
        }
        let screen = Arc::new(Screen {
            scope,
            selectors,
            mode,
            revision: gating.revision_label_key,
            role: gating.role_label_key,
            roles,
        });
        Instance {
            screener: Some(screen.clone()),
            answered: Some(screen),
            ..Instance::default()
        }
    }
}

fn scope(text: &str, build: &mut Build<'_>) -> Vec<(String, String)> {
    if text.trim().is_empty() {
        let message = "scope.labelSelector is required, such as app=chat";
        build.fault("scope.labelSelector", message);
    }
    let mut labels = Vec::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        match pair.split_once('=') {
            Some((key, value)) => {
                let value = value.strip_prefix('=').unwrap_or(value);
                labels.push((key.trim().to_owned(), value.trim().to_owned()));
            }
            None => {
                let message = format!("'{pair}' is not key=value");
                build.fault("scope.labelSelector", message);
            }
        }
    }
    labels
}

fn selectors(given: &[HeaderSelector], build: &mut Build<'_>) -> Vec<Selector> {
    let mut selectors = Vec::new();
    for (index, selector) in given.iter().enumerate() {
        let path = |field: &str| format!("headerSelectors[{index}].{field}");
        let earlier = &given[..index];
        if selector.name.is_empty() || earlier.iter().any(|other| other.name == selector.name) {
            let message = format!("'{}' is not a name of its own", selector.name);
            build.fault(&path("name"), message);
        }
        if selector.label_key.is_empty() {
            build.fault(&path("labelKey"), "labelKey is required");
        }
        let Some(mode) = selector.mode else {
            build.fault(&path("mode"), "mode is required: strict or prefer");
            continue;
        };
        let name = selector.header_name.trim().to_ascii_lowercase();
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) => selectors.push(Selector {
                header,
                label: selector.label_key.clone(),
                strict: mode == SelectorMode::Strict,
            }),
            Err(_) => {
                let message = format!("'{}' is not the name of a header", selector.header_name);
                build.fault(&path("headerName"), message);
            }
        }
    }
    selectors
}

impl Screen {
    /// Weight of each revision that has all required roles, by the pool's endpoints.
    fn weights<'f>(&self, field: &'f Field<'_>) -> Vec<(&'f str, u64)> {
        // Revision → pods by role.
        let mut pods: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for index in 0..field.endpoints.len() as u32 {
            let inside =
                |(key, value): &(String, String)| field.label(index, key) == Some(value.as_str());
            let labels = (
                field.label(index, &self.revision),
                field.label(index, &self.role),
            );
            let (Some(revision), Some(role)) = labels else {
                continue;
            };
            let role = self.roles.iter().position(|known| known == role);
            if let Some(role) = role.filter(|_| self.scope.iter().all(inside)) {
                let counts = pods.entry(revision);
                counts.or_insert_with(|| vec![0; self.roles.len()])[role] += 1;
            }
        }
        pods.retain(|_, counts| counts.iter().all(|count| *count > 0));
        let total = |role: usize| pods.values().map(|counts| counts[role]).sum::<u64>();
        // The first of equal roles wins.
        let largest = (0..self.roles.len()).rev().max_by_key(|role| total(*role));
        pods.iter()
            .map(|(revision, counts)| {
                let weight = match (self.mode, largest) {
                    (GatingMode::MaxRole, Some(role)) => counts[role],
                    _ => counts.iter().sum(),
                };
                (*revision, weight)
            })
            .collect()
    }

    /// The value that a strict selector demands of the revision.
    fn demanded<'q>(&self, field: &Field<'q>) -> Option<&'q str> {
        let binding = self.selectors.iter().filter(|selector| selector.strict);
        let mut values = binding
            .filter(|selector| selector.label == self.revision)
            .filter_map(|selector| field.query.headers.get(selector.header.as_str()));
        values.next()
    }
}

impl Screener for Screen {
    fn screen(&self, field: &Field<'_>, kept: &mut Vec<u32>, rng: &mut dyn Rng) {
        if self.mode != GatingMode::Disabled {
            let mut weights = self.weights(field);
            match self.demanded(field) {
                Some(wanted) => weights.retain(|(revision, _)| *revision == wanted),
                None => {
                    let visible = |revision: &str| {
                        let of = |&index: &u32| field.label(index, &self.revision);
                        kept.iter().any(|index| of(index) == Some(revision))
                    };
                    weights.retain(|(revision, _)| visible(revision));
                    let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
                    let mut left = unit(rng.next_u64()) * total as f64;
                    let drawn = weights.iter().position(|(_, weight)| {
                        left -= *weight as f64;
                        left < 0.0
                    });
                    let drawn = drawn.map(|at| weights[at]);
                    weights = drawn.into_iter().collect();
                }
            }
            let chosen = weights.first().map(|(revision, _)| *revision);
            kept.retain(|&index| {
                let own = field.label(index, &self.revision);
                own.is_some() && own == chosen
            });
        }
        for selector in self.selectors.iter().filter(|selector| selector.strict) {
            if let Some(wanted) = field.query.headers.get(selector.header.as_str()) {
                kept.retain(|&index| field.label(index, &selector.label) == Some(wanted));
            }
        }
    }
}

impl ResponseHeaders for Screen {
    /// Tells the labels of the endpoint that answers.
    fn answered(&self, _: &Flight, served: &Endpoint, _: Time, out: &mut HeaderChanges) {
        for selector in &self.selectors {
            let label = served.identity().labels.get(&selector.label);
            let value = label.and_then(|label| HeaderValue::from_str(label).ok());
            if value.is_some() {
                out.push(HeaderChange {
                    name: selector.header.clone(),
                    value,
                });
            }
        }
    }
}
