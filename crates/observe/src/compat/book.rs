//! Series by family, and the text they make.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use super::families::{Family, FamilyKind, NameSet, families};

/// Series of one family.
type Series = BTreeMap<Vec<Box<str>>, Sample>;

#[derive(Debug, Clone)]
enum Sample {
    Number(f64),
    Histogram {
        counts: Vec<u64>,
        sum: f64,
        count: u64,
    },
}

/// All families of one set. Recording takes the lock of one family.
pub(super) struct Book {
    pages: Vec<(&'static Family, Mutex<Series>)>,
    by_name: HashMap<&'static str, usize>,
}

impl Book {
    pub(super) fn new(set: NameSet) -> Self {
        let pages: Vec<_> = families()
            .iter()
            .filter(|family| family.set == set)
            .map(|family| (family, Mutex::default()))
            .collect();
        let by_name = pages
            .iter()
            .enumerate()
            .map(|(index, (family, _))| (family.name, index))
            .collect();
        Self { pages, by_name }
    }

    /// Adds to a counter.
    pub(super) fn add(&self, name: &str, labels: &[&str], amount: f64) {
        self.update(name, labels, |number| *number += amount);
    }

    /// Changes a gauge.
    pub(super) fn change(&self, name: &str, labels: &[&str], amount: f64) {
        self.update(name, labels, |number| *number += amount);
    }

    /// Sets a gauge.
    pub(super) fn set(&self, name: &str, labels: &[&str], value: f64) {
        self.update(name, labels, |number| *number = value);
    }

    /// Counts a value in a histogram.
    pub(super) fn observe(&self, name: &str, labels: &[&str], value: f64) {
        self.with(name, labels, |family, sample| {
            let (FamilyKind::Histogram(bounds), Sample::Histogram { counts, sum, count }) =
                (&family.kind, sample)
            else {
                return;
            };
            *sum += value;
            *count += 1;
            let place = bounds.partition_point(|bound| *bound < value);
            if let Some(slot) = counts.get_mut(place) {
                *slot += 1;
            }
        });
    }

    fn update(&self, name: &str, labels: &[&str], change: impl FnOnce(&mut f64)) {
        self.with(name, labels, |_, sample| {
            if let Sample::Number(number) = sample {
                change(number);
            }
        });
    }

    /// A family that the set does not have, or labels that do not fit it, are passed over: the sets differ.
    fn with(&self, name: &str, labels: &[&str], work: impl FnOnce(&Family, &mut Sample)) {
        let Some((family, series)) = self
            .by_name
            .get(name)
            .and_then(|index| self.pages.get(*index))
        else {
            return;
        };
        debug_assert_eq!(family.labels.len(), labels.len(), "labels of {name}");
        let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
        let key: Vec<Box<str>> = labels.iter().map(|label| Box::from(*label)).collect();
        let sample = series.entry(key).or_insert_with(|| match &family.kind {
            FamilyKind::Counter | FamilyKind::Gauge => Sample::Number(0.0),
            FamilyKind::Histogram(bounds) => Sample::Histogram {
                counts: vec![0; bounds.len()],
                sum: 0.0,
                count: 0,
            },
        });
        work(family, sample);
    }

    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        for (family, series) in &self.pages {
            let series = series.lock().unwrap_or_else(PoisonError::into_inner);
            if !series.is_empty() {
                write_family(&mut text, family, &series);
            }
        }
        text
    }
}

// Writing to a String cannot fail, so that its results are dropped below.
fn write_family(text: &mut String, family: &Family, series: &Series) {
    let kind = match family.kind {
        FamilyKind::Counter => "counter",
        FamilyKind::Gauge => "gauge",
        FamilyKind::Histogram(_) => "histogram",
    };
    let name = family.name;
    let _ = writeln!(text, "# HELP {name} [ALPHA] {}", family.help);
    let _ = writeln!(text, "# TYPE {name} {kind}");
    for (values, sample) in series {
        let labels = labels_of(family, values);
        match (sample, &family.kind) {
            (Sample::Histogram { counts, sum, count }, FamilyKind::Histogram(bounds)) => {
                let comma = if labels.is_empty() { "" } else { "," };
                let mut below = 0;
                for (bound, here) in bounds.iter().zip(counts) {
                    below += here;
                    let _ = writeln!(
                        text,
                        "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}"
                    );
                }
                let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
                let braces = braced(&labels);
                let _ = writeln!(text, "{name}_sum{braces} {sum}");
                let _ = writeln!(text, "{name}_count{braces} {count}");
            }
            (Sample::Number(number), _) => {
                let _ = writeln!(text, "{name}{} {number}", braced(&labels));
            }
            (Sample::Histogram { .. }, _) => {}
        }
    }
}

fn braced(labels: &str) -> String {
    if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    }
}

/// Labels as text, values escaped as the exposition format asks.
fn labels_of(family: &Family, values: &[Box<str>]) -> String {
    let mut text = String::new();
    for (label, value) in family.labels.iter().zip(values) {
        let comma = if text.is_empty() { "" } else { "," };
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(text, "{comma}{label}=\"{value}\"");
    }
    text
}
