use crate::objects::Loaded;
use gateway_api::apis::standard::referencegrants::ReferenceGrantSpec;

/// Who may refer to what in another namespace.
pub(super) struct Grants<'o> {
    grants: &'o [Loaded<ReferenceGrantSpec>],
}

/// A reference that crosses namespaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crossing<'a> {
    pub(super) from_group: &'a str,
    pub(super) from_kind: &'a str,
    pub(super) from_namespace: &'a str,
    pub(super) to_group: &'a str,
    pub(super) to_kind: &'a str,
    pub(super) to_namespace: &'a str,
    pub(super) to_name: &'a str,
}

impl<'o> Grants<'o> {
    pub(super) fn new(grants: &'o [Loaded<ReferenceGrantSpec>]) -> Self {
        Self { grants }
    }

    /// True if both ends share a namespace, or a grant in the target's namespace allows it.
    pub(super) fn allow(&self, crossing: Crossing<'_>) -> bool {
        if crossing.from_namespace == crossing.to_namespace {
            return true;
        }
        self.grants
            .iter()
            .filter(|grant| grant.name.namespace.as_ref() == crossing.to_namespace)
            .filter(|grant| !grant.meta.deleting)
            .any(|grant| {
                let from = grant.spec.from.iter().any(|from| {
                    from.group == crossing.from_group
                        && from.kind == crossing.from_kind
                        && from.namespace == crossing.from_namespace
                });
                let to = grant.spec.to.iter().any(|to| {
                    let name = to.name.as_deref().unwrap_or_default();
                    to.group == crossing.to_group
                        && to.kind == crossing.to_kind
                        && (name.is_empty() || name == crossing.to_name)
                });
                from && to
            })
    }
}

impl Crossing<'_> {
    /// What to write when a grant is missing.
    pub(super) fn missing(&self) -> String {
        let group = if self.to_group.is_empty() {
            "\"\""
        } else {
            self.to_group
        };
        format!(
            "no ReferenceGrant lets {} of namespace {} refer to {} {}/{}; add one in namespace {} \
             (from {} {}, to group {group} kind {})",
            self.from_kind,
            self.from_namespace,
            self.to_kind,
            self.to_namespace,
            self.to_name,
            self.to_namespace,
            self.from_group,
            self.from_kind,
            self.to_kind,
        )
    }
}
