//! Label sets, and the bound on label values that come from requests.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::EncodeLabelSet;

/// Model names that may become label values; later ones count as `other`.
pub const MODEL_LABELS_MAX: usize = 256;

const OTHER: &str = "other";
const NONE: &str = "none";

/// Model names seen so far, up to the bound.
#[derive(Debug, Default)]
pub(crate) struct ModelLabels {
    seen: RwLock<HashSet<Arc<str>>>,
}

impl ModelLabels {
    /// The label for a model that a model server has answered for. Only such names are remembered, so that
    /// misspelt or hostile names of failed requests cannot use the bound up.
    pub(crate) fn remember(&self, model: Option<&Arc<str>>) -> Arc<str> {
        let Some(model) = model else {
            return NONE.into();
        };
        let known = self
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(model)
            .cloned();
        if let Some(label) = known {
            return label;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MODEL_LABELS_MAX {
            return OTHER.into();
        }
        seen.insert(model.clone());
        model.clone()
    }

    /// The label for a model of a request that failed: known names only.
    pub(crate) fn lookup(&self, model: Option<&Arc<str>>) -> Arc<str> {
        match model {
            None => NONE.into(),
            Some(model) => self
                .seen
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(model)
                .cloned()
                .unwrap_or_else(|| OTHER.into()),
        }
    }
}

/// Phase one: what came in and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Result {
    pub(crate) pool: Arc<str>,
    pub(crate) api: &'static str,
    pub(crate) result: &'static str,
}

/// Phase one: outcome of looking for a model name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ExtractionResult {
    pub(crate) result: &'static str,
}

/// Phase two: a pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfPool {
    pub(crate) pool: Arc<str>,
}

/// Phase two: a pool's endpoint. Bounded by the endpoints there are; the series of endpoints that are gone are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfEndpoint {
    pub(crate) pool: Arc<str>,
    pub(crate) endpoint: Arc<str>,
}

/// Phase three: a pool and a model as sent upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfModel {
    pub(crate) pool: Arc<str>,
    pub(crate) model: Arc<str>,
}

/// Phase three: why an attempt at an endpoint failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AttemptCause {
    pub(crate) pool: Arc<str>,
    pub(crate) cause: &'static str,
}

/// Phase three: status class of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StatusClass {
    pub(crate) pool: Arc<str>,
    pub(crate) status: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_model_labels_is_bounded() {
        let labels = ModelLabels::default();
        for number in 0..MODEL_LABELS_MAX + 10 {
            let name: Arc<str> = format!("model-{number}").into();
            let label = labels.remember(Some(&name));
            assert_eq!(&*label == OTHER, number >= MODEL_LABELS_MAX, "{number}");
        }
        assert_eq!(&*labels.remember(Some(&"model-0".into())), "model-0");
    }

    #[test]
    fn a_failed_request_cannot_add_a_label() {
        let labels = ModelLabels::default();
        assert_eq!(&*labels.lookup(Some(&"typo".into())), OTHER);
        assert_eq!(&*labels.remember(Some(&"real".into())), "real");
        assert_eq!(&*labels.lookup(Some(&"real".into())), "real");
        assert_eq!(&*labels.lookup(None), NONE);
    }
}
