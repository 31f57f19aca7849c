//! Metric names of the user's choice: `name` or `name{label=value,...}`.

use std::fmt;

/// Which series to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricSpec {
    /// Name of the metric.
    pub name: String,
    /// Labels that must have these values; others do not matter.
    pub labels: Vec<(String, String)>,
}

/// Why a text is no metric spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricSpecError {
    /// No metric name, or one with a letter that metric names do not have.
    #[error("metric name `{0}` is not valid, want letters, digits, `_` and `:`")]
    Name(String),
    /// An opening brace without the closing one, or text after it.
    #[error("metric spec `{0}` is not valid, want name or name{{label=value,...}}")]
    Braces(String),
    /// A label without a value, or without a name.
    #[error("label `{0}` is not valid, want label=value")]
    Label(String),
}

impl MetricSpec {
    /// Reads a spec. Spaces do not matter, values may be quoted. Text without content gives `None`:
    /// there is no such metric.
    ///
    /// # Errors
    /// [`MetricSpecError`] when the text is neither a name nor a name with labels.
    pub fn parse(text: &str) -> Result<Option<Self>, MetricSpecError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let Some((name, rest)) = text.split_once('{') else {
            return Ok(Some(Self {
                name: metric_name(text)?,
                labels: Vec::new(),
            }));
        };
        let inner = rest
            .strip_suffix('}')
            .filter(|inner| !inner.contains(['{', '}']))
            .ok_or_else(|| MetricSpecError::Braces(text.to_owned()))?;
        let pairs = inner.split(',').filter(|pair| !pair.trim().is_empty());
        Ok(Some(Self {
            name: metric_name(name.trim())?,
            labels: pairs.map(label).collect::<Result<_, _>>()?,
        }))
    }
}

fn metric_name(name: &str) -> Result<String, MetricSpecError> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    let fits = name.bytes().next().is_some_and(first)
        && name
            .bytes()
            .all(|byte| first(byte) || byte.is_ascii_digit());
    if fits {
        Ok(name.to_owned())
    } else {
        Err(MetricSpecError::Name(name.to_owned()))
    }
}

fn label(pair: &str) -> Result<(String, String), MetricSpecError> {
    let wrong = || MetricSpecError::Label(pair.trim().to_owned());
    let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
    let name = name.trim();
    let value = value.trim();
    if name.is_empty() || value.is_empty() {
        return Err(wrong());
    }
    let bare = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    Ok((name.to_owned(), bare.to_owned()))
}

impl fmt::Display for MetricSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (index, (name, value)) in self.labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{name}={value}")?;
        }
        if self.labels.is_empty() {
            return Ok(());
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_as_written() {
        let cases = [
            ("a:b_c1", "a:b_c1"),
            ("  m  {  l  =  v  ,  k = \"w\" }  ", "m{l=v,k=w}"),
            ("m{}", "m"),
        ];
        for (text, want) in cases {
            let spec = MetricSpec::parse(text).unwrap().unwrap();
            assert_eq!(spec.to_string(), want, "{text}");
        }
        assert_eq!(MetricSpec::parse("  "), Ok(None));
    }

    #[test]
    fn what_is_no_spec_says_why() {
        for text in [
            "m{l=v", "m}", "1m", "m{=v}", "m{l=}", "m{l}", "{l=v}", "m{l=v}x", "a b",
        ] {
            assert!(MetricSpec::parse(text).is_err(), "{text}");
        }
    }
}
