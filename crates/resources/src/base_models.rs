use std::collections::BTreeMap;
use std::sync::Arc;

/// Which base model each known model name belongs to: adapters to their base, bases to themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseModels {
    base_by_model: BTreeMap<Arc<str>, Arc<str>>,
}

impl BaseModels {
    /// The base of `model`, or `None` if the name is in no mapping.
    pub fn base_of(&self, model: &str) -> Option<&Arc<str>> {
        self.base_by_model.get(model)
    }

    /// All known names with their base, in order of the names.
    pub fn names(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.base_by_model.iter()
    }

    /// Number of known names.
    pub fn len(&self) -> usize {
        self.base_by_model.len()
    }

    /// True if there is no mapping at all.
    pub fn is_empty(&self) -> bool {
        self.base_by_model.is_empty()
    }

    /// Adds a name unless it is there already; gives the base that was there.
    pub(crate) fn insert(&mut self, model: Arc<str>, base: Arc<str>) -> Option<Arc<str>> {
        if let Some(known) = self.base_by_model.get(&model) {
            return Some(Arc::clone(known));
        }
        self.base_by_model.insert(model, base);
        None
    }
}
