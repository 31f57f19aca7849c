//! The plain limits of the custom resource definitions, as tables: how many items, how long a text,
//! how large a number, which form. Rules that join several fields are code, in `build`.

mod form;
mod tables;

pub(crate) use form::Form;
pub(crate) use tables::{GATEWAY, GRANT, OBJECTIVE, POOL, REWRITE, ROUTE};

use crate::decode::{Fault, append_index, append_key};
use crate::tree::{Node, Value};

/// One limit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Fewest and most items of a list.
    Items(usize, usize),
    /// Fewest and most entries of a map.
    Entries(usize, usize),
    /// Fewest and most characters of a text.
    Length(usize, usize),
    /// Least and greatest number.
    Range(i64, i64),
    /// What a text must look like.
    Looks(Form),
    /// Key whose value differs from item to item of a list.
    UniqueBy(&'static str),
}

/// Limits of the values at a path. `[]` stands for every item, `{}` for every entry.
pub(crate) type Row = (&'static str, &'static [Limit]);

/// Rows that hold below a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// Where the rows begin; empty for the object itself.
    pub(crate) at: &'static str,
    /// Rows, their paths counted from there.
    pub(crate) rows: &'static [Row],
}

/// Checks an object against a table and gives all faults.
pub(crate) fn check(object: &Node, table: &[Section], faults: &mut Vec<Fault>) {
    for section in table {
        visit(object, section.at, &Trail::Root, &mut |node, trail| {
            for (path, limits) in section.rows {
                visit(node, path, trail, &mut |node, trail| {
                    limits
                        .iter()
                        .for_each(|limit| test(*limit, node, trail, faults));
                });
            }
        });
    }
}

/// The way from an object to a value in it, written out only if there is a fault to report.
enum Trail<'t> {
    Root,
    Key(&'t Trail<'t>, &'t str),
    Index(&'t Trail<'t>, usize),
}

impl Trail<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Root => {}
            Self::Key(parent, key) => {
                parent.write(out);
                append_key(key, out);
            }
            Self::Index(parent, index) => {
                parent.write(out);
                append_index(*index, out);
            }
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        self.write(&mut path);
        path
    }
}

/// Calls `found` for every node the pattern leads to.
fn visit(node: &Node, pattern: &str, trail: &Trail<'_>, found: &mut impl FnMut(&Node, &Trail<'_>)) {
    if let Some(rest) = pattern.strip_prefix("[]") {
        for (index, item) in node.items().iter().enumerate() {
            visit(item, rest, &Trail::Index(trail, index), found);
        }
        return;
    }
    if let Some(rest) = pattern.strip_prefix("{}") {
        for (key, item) in node.entries() {
            visit(item, rest, &Trail::Key(trail, key), found);
        }
        return;
    }
    let pattern = pattern.strip_prefix('.').unwrap_or(pattern);
    if pattern.is_empty() {
        found(node, trail);
        return;
    }
    let ends = |byte: &u8| matches!(byte, b'.' | b'[' | b'{');
    let end = pattern
        .as_bytes()
        .iter()
        .position(ends)
        .unwrap_or(pattern.len());
    let (key, rest) = pattern.split_at(end);
    if let Some(child) = node.get(key) {
        visit(child, rest, &Trail::Key(trail, key), found);
    }
}

/// Values of the wrong type are left to decoding.
fn test(limit: Limit, node: &Node, trail: &Trail<'_>, faults: &mut Vec<Fault>) {
    let mut fault = |message: String| {
        faults.push(Fault {
            path: trail.path(),
            message,
        })
    };
    match (limit, &node.value) {
        (Limit::Items(least, most), Value::List(items))
            if !(least..=most).contains(&items.len()) =>
        {
            fault(format!("has {} items, want {least} to {most}", items.len()));
        }
        (Limit::Entries(least, most), Value::Map(entries))
            if !(least..=most).contains(&entries.len()) =>
        {
            fault(format!(
                "has {} entries, want {least} to {most}",
                entries.len()
            ));
        }
        (Limit::Length(least, most), Value::Text(text)) => {
            let length = text.chars().count();
            if !(least..=most).contains(&length) {
                fault(format!("has {length} characters, want {least} to {most}"));
            }
        }
        (Limit::Range(least, most), Value::Number(number))
            if !number
                .as_i64()
                .is_some_and(|value| (least..=most).contains(&value)) =>
        {
            fault(format!(
                "`{number}` is out of range, want {}",
                range(least, most)
            ));
        }
        (Limit::Looks(form), Value::Text(text)) if !form.fits(text) => {
            fault(format!(
                "`{text}` is not {}, want {}",
                form.name(),
                form.wants()
            ));
        }
        (Limit::UniqueBy(key), Value::List(items)) => repeated(items, key, trail, faults),
        _ => {}
    }
}

fn range(least: i64, most: i64) -> String {
    if most == i64::MAX {
        format!("{least} or more")
    } else {
        format!("{least} to {most}")
    }
}

fn repeated(items: &[Node], key: &str, trail: &Trail<'_>, faults: &mut Vec<Fault>) {
    for (index, item) in items.iter().enumerate() {
        let Some(value) = item.get(key) else { continue };
        let same = |other: &Node| {
            other
                .get(key)
                .is_some_and(|other| other.value == value.value)
        };
        if let Some(first) = items[..index].iter().position(same) {
            let shown = value.to_json();
            let shown = shown
                .as_str()
                .map_or_else(|| shown.to_string(), str::to_owned);
            let path = trail.path();
            faults.push(Fault {
                message: format!(
                    "`{shown}` is already given in {path}[{first}], want each {key} once"
                ),
                path: format!("{path}[{index}].{key}"),
            });
        }
    }
}

#[cfg(test)]
mod tests;
