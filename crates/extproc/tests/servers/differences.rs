//! The cases where we differ on purpose, as `docs/compat.md` lists them.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Ids of cases that stand in backticks in the document's section "Cases that differ".
pub struct Differences(BTreeSet<String>);

impl Differences {
    pub fn read() -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/compat.md");
        let text = std::fs::read_to_string(path).unwrap();
        let section = text
            .split("## Cases that differ")
            .nth(1)
            .expect("docs/compat.md has a section \"Cases that differ\"");
        let ids = section
            .split("\n## ")
            .next()
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned);
        Self(ids.collect())
    }

    /// What is wrong with the result, if anything: a listed case must differ, all others must not. An entry ending in
    /// `/*` stands for all cases below it.
    pub fn judge(&self, id: &str, result: &Result<(), String>) -> Option<String> {
        let listed = self.0.iter().any(|entry| match entry.strip_suffix('*') {
            Some(prefix) => id.starts_with(prefix),
            None => entry == id,
        });
        match (listed, result) {
            (false, Err(error)) => Some(format!("{id}\n    {error}")),
            (true, Ok(())) => Some(format!(
                "{id} is listed as different in docs/compat.md and is not"
            )),
            _ => None,
        }
    }
}
