//! The contract: every family with its type, labels and buckets.

use std::sync::LazyLock;

/// Whose names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameSet {
    /// The Inference Extension's picker v1.5.0.
    Gie,
    /// llm-d's router, with the older names it still serves.
    LlmD,
    /// The body-based router.
    Bbr,
}

/// What a family counts.
#[derive(Debug, Clone, PartialEq)]
pub enum FamilyKind {
    /// Grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts below bounds.
    Histogram(Vec<f64>),
}

/// One family.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Whose it is.
    pub set: NameSet,
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub kind: FamilyKind,
    /// Its labels in order.
    pub labels: Vec<&'static str>,
    /// What it is about; empty where nobody depends on the words.
    pub help: &'static str,
}

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    include_str!("families.tsv")
        .lines()
        .filter_map(parse)
        .collect()
});

/// All families of all sets.
#[must_use]
pub fn families() -> &'static [Family] {
    &FAMILIES
}

fn parse(line: &'static str) -> Option<Family> {
    let mut fields = line.split('\t');
    let set = match fields.next()? {
        "gie" => NameSet::Gie,
        "llm-d" => NameSet::LlmD,
        "bbr" => NameSet::Bbr,
        _ => return None,
    };
    let name = fields.next()?;
    let kind = fields.next()?;
    let list = |text: &'static str| text.split(',').filter(|part| !part.is_empty());
    let labels = list(fields.next()?).collect();
    let buckets = list(fields.next()?)
        .filter_map(|bound| bound.parse().ok())
        .collect();
    Some(Family {
        set,
        name,
        kind: match kind {
            "counter" => FamilyKind::Counter,
            "gauge" => FamilyKind::Gauge,
            "histogram" => FamilyKind::Histogram(buckets),
            _ => return None,
        },
        labels,
        help: fields.next().unwrap_or_default(),
    })
}
