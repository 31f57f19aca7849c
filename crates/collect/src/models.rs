//! The answer of `GET /v1/models`.

use std::sync::Arc;

use serde::Deserialize;

/// Models kept of one server: base models and adapters.
const MODELS_MAX: usize = 4_096;

/// Longer names are left out; they could not be asked for anyway.
const NAME_MAX: usize = 512;

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// The ids of a model list, or `None` when it is not one.
pub(crate) fn read(body: &[u8]) -> Option<Vec<Arc<str>>> {
    let list: List = serde_json::from_slice(body).ok()?;
    let names = list.data.into_iter().map(|model| model.id);
    Some(
        names
            .filter(|name| name.len() <= NAME_MAX)
            .take(MODELS_MAX)
            .map(Arc::from)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_whatever_else_there_is() {
        let body = br#"{"object":"list","data":[{"id":"base","root":"x","parent":null},{"id":"a","parent":"base"}]}"#;
        let names: Vec<Arc<str>> = vec!["base".into(), "a".into()];
        assert_eq!(read(body), Some(names));
        assert_eq!(read(br#"{"data":[]}"#), Some(Vec::new()));
        assert_eq!(read(b"<html>"), None);
        assert_eq!(read(br#"{"error":"x"}"#), None);
    }
}
