use crate::BaseModels;
use crate::objects::Loaded;
use crate::report::Report;
use k8s_openapi::api::core::v1::ConfigMap;
use std::sync::Arc;

/// Labels that mark a ConfigMap as a mapping: of the Inference Extension and of llm-d.
const LABELS: [&str; 2] = [
    "inference.networking.k8s.io/bbr-managed",
    "inference.llm-d.ai/ipp-managed",
];

/// Builds the mapping from model names to base models. Maps come oldest first, and the first one
/// to name a model wins.
pub(super) fn build(config_maps: &[Loaded<ConfigMap>], report: &mut Report) -> BaseModels {
    let mut models = BaseModels::default();
    for map in config_maps {
        let marked = LABELS
            .iter()
            .any(|label| map.meta.labels.get(*label).is_some_and(|on| on == "true"));
        if marked && !map.meta.deleting {
            add(map, &mut models, report);
        }
    }
    models
}

fn add(map: &Loaded<ConfigMap>, models: &mut BaseModels, report: &mut Report) {
    let data = |key: &str| map.spec.data.as_ref().and_then(|data| data.get(key));
    let base = data("baseModel").map_or("", |base| base.trim());
    if base.is_empty() {
        let message = "is missing or blank, want the name of the base model";
        report.error(&map.place, "data.baseModel", message);
        return;
    }
    let base: Arc<str> = base.into();
    insert(map, "data.baseModel", &base, &base, models, report);
    let Some(text) = data("adapters") else { return };
    match serde_saphyr::from_str::<Option<Vec<String>>>(text) {
        Ok(adapters) => {
            for adapter in adapters.unwrap_or_default() {
                let adapter = adapter.trim();
                if !adapter.is_empty() {
                    insert(map, "data.adapters", &adapter.into(), &base, models, report);
                }
            }
        }
        Err(_) => {
            let message =
                "is not a YAML list of texts, want a block such as `|` with `- name` lines";
            report.error(&map.place, "data.adapters", message);
        }
    }
}

fn insert(
    map: &Loaded<ConfigMap>,
    path: &str,
    model: &Arc<str>,
    base: &Arc<str>,
    models: &mut BaseModels,
    report: &mut Report,
) {
    let known = models.insert(Arc::clone(model), Arc::clone(base));
    if let Some(known) = known.filter(|known| known != base) {
        let message = format!(
            "`{model}` already belongs to base model `{known}` by an older ConfigMap, which wins"
        );
        report.warning(&map.place, path, message);
    }
}
