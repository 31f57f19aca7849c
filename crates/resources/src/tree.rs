//! YAML and JSON text as a tree in which every node knows its line.
//!
//! Kubernetes turns YAML into JSON before it looks at it, and so do we: typed objects are decoded
//! from [`Node::to_json`], and the path of whatever is wrong with them leads back to a line.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value as Json};
use serde_saphyr::Spanned;
use std::fmt;

/// Most documents in one text.
const MAX_DOCUMENTS: usize = 100_000;
/// Most values in one text, those that aliases bring in included.
const MAX_NODES: usize = 4_000_000;

/// A value and the line it stands on: that of its key in a mapping, of its own start elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Counted from 1; 0 if unknown.
    pub(crate) line: u32,
    /// The value.
    pub(crate) value: Value,
}

/// The JSON data model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Text that is neither YAML nor JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Counted from 1, if known.
    pub(crate) line: Option<u32>,
    /// What the parser said.
    pub(crate) message: String,
}

/// Reads all documents of a text. Empty ones are left out.
///
/// Aliases and merge keys are expanded within fixed bounds; a key given twice is an error.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
        },
    };
    serde_saphyr::from_multiple_with_options::<Node>(text, options).map_err(|error| SyntaxError {
        line: error
            .location()
            .and_then(|place| u32::try_from(place.line()).ok()),
        message: error.to_string(),
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            line: line_of(&spanned),
            value: spanned.value,
        })
    }
}

fn line_of<T>(spanned: &Spanned<T>) -> u32 {
    u32::try_from(spanned.referenced.line()).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Node>()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(key) = access.next_key::<Spanned<Value>>()? {
            let line = line_of(&key);
            let key = match key.value {
                Value::Text(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
                Value::Null | Value::List(_) | Value::Map(_) => {
                    return Err(A::Error::custom("a key that is not a text"));
                }
            };
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!("key `{key}` is given twice")));
            }
            let value = access.next_value::<Node>()?.value;
            entries.push((key, Node { line, value }));
        }
        Ok(Value::Map(entries))
    }
}

impl Node {
    /// The entry of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// The entry of a mapping, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The items of a list, to change them; none for anything else.
    pub(crate) fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.value {
            Value::List(items) => items,
            _ => &mut [],
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(crate) fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Takes an entry out of a mapping.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let index = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(index).1)
    }

    /// The same value without lines.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.clone(), node.to_json()))
                    .collect(),
            ),
        }
    }

    /// Line of what `path` (`spec.rules[0].name`) leads to, or of the last part that exists.
    pub(crate) fn line_at(&self, path: &str) -> Option<u32> {
        let mut node = self;
        let mut rest = path;
        while let Some((next, after)) = node.step(rest) {
            (node, rest) = (next, after);
        }
        (node.line > 0).then_some(node.line)
    }

    /// Follows the first part of a path. Keys may hold dots: the longest one that fits is taken.
    fn step<'p>(&self, path: &'p str) -> Option<(&Node, &'p str)> {
        if let Some(rest) = path.strip_prefix('[') {
            let (index, rest) = rest.split_once(']')?;
            let node = self.items().get(index.parse::<usize>().ok()?)?;
            return Some((node, rest.strip_prefix('.').unwrap_or(rest)));
        }
        let fits = |key: &str| {
            let rest = path.strip_prefix(key)?;
            let after = rest.strip_prefix('.').unwrap_or(rest);
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some(after)
        };
        let candidates = self.entries().iter().filter(|(key, _)| !key.is_empty());
        let (key, node) = candidates
            .filter(|(key, _)| fits(key).is_some())
            .max_by_key(|(key, _)| key.len())?;
        Some((node, fits(key)?))
    }
}

#[cfg(test)]
mod tests;
