//! The two kinds of text that Kubernetes writes numbers in.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole amount, written as a number or as a Kubernetes quantity such as `10Gi`, `20k` or `1e3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub i64);

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "quantity `{0}` is not valid, want a whole number with an optional suffix: k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei"
)]
pub struct QuantityError(pub String);

impl Quantity {
    /// Reads a quantity. Fractions are rounded up to the next whole amount, as Kubernetes does.
    ///
    /// # Errors
    /// If the text is no number with a known suffix, or does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError(text.to_owned());
        let digits = text
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'))
            .count();
        let (number, suffix) = text.split_at(digits);
        let factor = factor(suffix).ok_or_else(wrong)?;
        if let Ok(whole) = number.parse::<i128>() {
            let value = (factor >= 1.0)
                .then(|| whole.checked_mul(factor as i128))
                .flatten();
            if let Some(value) = value {
                return i64::try_from(value).map(Self).map_err(|_| wrong());
            }
        }
        let value = (number.parse::<f64>().map_err(|_| wrong())? * factor).ceil();
        // The bounds are the last whole numbers a double holds on either side.
        if value.is_finite() && value.abs() < 9.223_372_036_854_775e18 {
            Ok(Self(value as i64))
        } else {
            Err(wrong())
        }
    }
}

fn factor(suffix: &str) -> Option<f64> {
    let binary = |power: i32| 1024f64.powi(power);
    let decimal = |power: i32| 1000f64.powi(power);
    Some(match suffix {
        "" => 1.0,
        "n" => decimal(-3),
        "u" => decimal(-2),
        "m" => decimal(-1),
        "k" => decimal(1),
        "M" => decimal(2),
        "G" => decimal(3),
        "T" => decimal(4),
        "P" => decimal(5),
        "E" => decimal(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (-18..=18).contains(&power).then(|| 10f64.powi(power))?
        }
    })
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Quantity;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a quantity such as 1000, \"20k\" or \"10Gi\"")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Quantity, E> {
                Ok(Quantity(value))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Quantity, E> {
                let fits = i64::try_from(value);
                fits.map(Quantity)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Quantity, E> {
                Quantity::parse(&value.to_string()).map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole amount: a number, or a text such as 10Gi or 20k.",
            "type": ["integer", "string"],
        })
    }
}

/// A duration as Go writes it: `60s`, `1m30s`, `1.5h`, `200ms`. May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration {
    /// Nanoseconds.
    pub nanos: i64,
}

impl GoDuration {
    /// The duration; zero when it is negative.
    #[must_use]
    pub fn get(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos).unwrap_or(0))
    }

    /// True below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self {
            nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        }
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos < 0 {
            formatter.write_str("-")?;
        }
        let nanos = self.nanos.unsigned_abs();
        let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
        let exact = |unit: &&(&str, u64)| nanos.is_multiple_of(unit.1);
        match units.iter().find(exact) {
            Some((unit, size)) => write!(formatter, "{}{unit}", nanos / size),
            None => write!(formatter, "{nanos}ns"),
        }
    }
}

/// Reads a duration as Go's `time.ParseDuration` does; `None` if it is not one.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<GoDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(GoDuration::default());
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
            .count();
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("μs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 60e9),
            ("h", 3600e9),
        ];
        let (unit, size) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        nanos += number * size;
    }
    (nanos < 9.2e18).then_some(GoDuration {
        nanos: (sign * nanos).round() as i64,
    })
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_go_duration(&text).ok_or_else(|| {
            D::Error::custom(format_args!(
                "duration `{text}` is not valid, want a number and a unit (ns, us, ms, s, m, h), such as `200ms` or `1m30s`"
            ))
        })
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration such as 200ms, 60s or 1m30s.",
            "type": "string",
        })
    }
}
