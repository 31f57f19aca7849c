use resources::{QueryMatch, ValueMatch};
use std::borrow::Cow;

/// True if the first parameter of that name meets the condition (Gateway API,
/// `HTTPQueryParamMatch`). Names and values are taken after percent-decoding.
pub(crate) fn query_holds(query: Option<&str>, condition: &QueryMatch) -> bool {
    let mut pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let found = pairs.find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name).as_ref() == condition.name.as_bytes()).then_some(value)
    });
    found.is_some_and(|value| value_holds(&condition.value, value))
}

fn value_holds(condition: &ValueMatch, value: &str) -> bool {
    condition.matches(&decode(value))
}

/// Decodes `%XX` and `+`. What is malformed stays as it is.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (byte, _) => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests;
