//! Plugin parameters, decoded as the reference does: field names in any case, null the same as
//! absent, numbers of the right kind. Unknown fields are collected rather than the first one being
//! the end, each with its path and what would be known.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::Value;

/// Something wrong with the parameters of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParameterFault {
    /// Where, from the parameters on; empty for all of them.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Decodes parameters. `null` gives the defaults. Unknown fields are told to `unknown`.
pub(crate) fn decode<T: DeserializeOwned + Default>(
    value: &Value,
    unknown: &mut Vec<ParameterFault>,
) -> Result<T, ParameterFault> {
    if value.is_null() {
        return Ok(T::default());
    }
    let seen = RefCell::new(Vec::new());
    let loose = Loose {
        value,
        trail: &Trail::Root,
        unknown: &seen,
    };
    let result = T::deserialize(loose);
    unknown.append(&mut seen.into_inner());
    result.map_err(|error| ParameterFault {
        path: error.path,
        message: error.message,
    })
}

/// The way from the parameters to a value in them.
enum Trail<'t> {
    Root,
    Key(&'t Trail<'t>, &'t str),
    Index(&'t Trail<'t>, usize),
}

impl Trail<'_> {
    fn path(&self) -> String {
        match self {
            Trail::Root => String::new(),
            Trail::Key(Trail::Root, key) => (*key).to_owned(),
            Trail::Key(parent, key) => format!("{}.{key}", parent.path()),
            Trail::Index(parent, index) => format!("{}[{index}]", parent.path()),
        }
    }
}

#[derive(Debug)]
struct Fault {
    path: String,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: String::new(),
            message: message.to_string(),
        }
    }
}

#[derive(Clone, Copy)]
struct Loose<'a> {
    value: &'a Value,
    trail: &'a Trail<'a>,
    unknown: &'a RefCell<Vec<ParameterFault>>,
}

impl<'a> Loose<'a> {
    /// Says where an error happened, unless a value within has said so already.
    fn place<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|mut fault| {
            if fault.path.is_empty() {
                fault.path = self.trail.path();
            }
            fault
        })
    }

    fn wrong<T>(self, wanted: &dyn serde::de::Expected) -> Result<T, Fault> {
        let given = match self.value {
            Value::Null => Unexpected::Other("null"),
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("a number"),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        self.place(Err(serde::de::Error::invalid_type(given, wanted)))
    }
}

impl<'de> Deserializer<'de> for Loose<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    visitor.visit_u64(value)
                } else if let Some(value) = number.as_i64() {
                    visitor.visit_i64(value)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
                of: self,
            }),
            Value::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.as_str(), value));
                visitor.visit_map(Entries {
                    entries: entries.collect::<Vec<_>>().into_iter(),
                    current: None,
                    of: self,
                })
            }
        };
        self.place(result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Object(entries) = self.value else {
            return self.wrong(&"an object");
        };
        let mut known: Vec<(&str, &Value)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let same = |field: &&&str| field.eq_ignore_ascii_case(key);
            let exact = fields.iter().find(|field| **field == key);
            match exact.or_else(|| fields.iter().find(same)) {
                // The last spelling of a field wins, as in Go.
                Some(field) if !value.is_null() => {
                    known.retain(|(earlier, _)| earlier != field);
                    known.push((field, value));
                }
                Some(_) => {}
                None => self.unknown.borrow_mut().push(ParameterFault {
                    path: Trail::Key(self.trail, key).path(),
                    message: unknown(key, fields),
                }),
            }
        }
        let entries = Entries {
            entries: known.into_iter(),
            current: None,
            of: self,
        };
        self.place(visitor.visit_map(entries))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(variant) => self.place(visitor.visit_enum(Variant { variant })),
            _ => self.wrong(&"a text"),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

fn unknown(key: &str, fields: &[&str]) -> String {
    if fields.is_empty() {
        format!("unknown field `{key}`, this plugin takes no parameters")
    } else {
        format!("unknown field `{key}`, want one of {}", fields.join(", "))
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    of: Loose<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, value)) = self.items.next() else {
            return Ok(None);
        };
        let item = Loose {
            value,
            trail: &Trail::Index(self.of.trail, index),
            unknown: self.of.unknown,
        };
        item.place(seed.deserialize(item)).map(Some)
    }
}

struct Entries<'a> {
    entries: std::vec::IntoIter<(&'a str, &'a Value)>,
    current: Option<(&'a str, &'a Value)>,
    of: Loose<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Fault> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.current.take() else {
            return Err(serde::de::Error::custom("a value without a key"));
        };
        let entry = Loose {
            value,
            trail: &Trail::Key(self.of.trail, key),
            unknown: self.of.unknown,
        };
        entry.place(seed.deserialize(entry))
    }
}

/// A variant without content.
struct Variant<'a> {
    variant: &'a str,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let variant: StrDeserializer<'_, Fault> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(serde::de::Error::custom(
            "a variant with content is not a text",
        ))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(serde::de::Error::custom(
            "a variant with content is not a text",
        ))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(serde::de::Error::custom(
            "a variant with content is not a text",
        ))
    }
}

#[cfg(test)]
mod tests;
