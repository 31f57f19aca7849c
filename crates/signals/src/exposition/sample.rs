//! One line of the text format, after its name: labels, value, and a timestamp that is passed over.

use std::borrow::Cow;

/// A sample of a wanted family, borrowed from the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'t> {
    pub(super) labels: Labels<'t>,
    pub(super) value: f64,
}

/// The text between the braces of a sample, known to be well formed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labels<'t>(&'t [u8]);

/// Reads `{labels} value [timestamp]`; `None` when it is not that.
pub(super) fn parse(text: &[u8]) -> Option<Sample<'_>> {
    let (labels, rest) = match text {
        [b'{', inside @ ..] => {
            let end = end_of_labels(inside)?;
            (Labels(&inside[..end]), &inside[end + 1..])
        }
        _ => (Labels::default(), text),
    };
    let token = rest
        .split(u8::is_ascii_whitespace)
        .find(|token| !token.is_empty())?;
    let value = std::str::from_utf8(token).ok()?.parse().ok()?;
    Some(Sample { labels, value })
}

/// Index of the closing brace. Label values may hold braces, commas and escaped quotes.
fn end_of_labels(inside: &[u8]) -> Option<usize> {
    let mut rest = inside;
    loop {
        match split_label(rest) {
            Split::Label { rest: after, .. } => rest = after,
            Split::End { at } => {
                let closing = inside.len() - rest.len() + at;
                return (inside.get(closing) == Some(&b'}')).then_some(closing);
            }
            Split::Malformed => return None,
        }
    }
}

enum Split<'t> {
    Label {
        name: &'t [u8],
        value: &'t [u8],
        rest: &'t [u8],
    },
    /// No further label; the closing brace, or the end of the text, is at `at`.
    End {
        at: usize,
    },
    Malformed,
}

/// Takes the next label off `text`, its value still escaped.
fn split_label(text: &[u8]) -> Split<'_> {
    let skip = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
    let start = text
        .iter()
        .position(|byte| !skip(byte))
        .unwrap_or(text.len());
    if matches!(text.get(start), None | Some(b'}')) {
        return Split::End { at: start };
    }
    let label = &text[start..];
    let Some(equals) = memchr::memchr(b'=', label) else {
        return Split::Malformed;
    };
    let [b'"', value @ ..] = label[equals + 1..].trim_ascii_start() else {
        return Split::Malformed;
    };
    let Some(length) = quoted_length(value) else {
        return Split::Malformed;
    };
    Split::Label {
        name: label[..equals].trim_ascii_end(),
        value: &value[..length],
        rest: &value[length + 1..],
    }
}

/// Bytes before the closing quote.
fn quoted_length(value: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &value[from..])?;
        if value[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
        if from > value.len() {
            return None;
        }
    }
}

impl<'t> Labels<'t> {
    /// Name and still escaped value of each label.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'t [u8], &'t [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || match split_label(rest) {
            Split::Label {
                name,
                value,
                rest: after,
            } => {
                rest = after;
                Some((name, value))
            }
            Split::End { .. } | Split::Malformed => None,
        })
    }

    /// The still escaped value of a label.
    pub(super) fn get(self, name: &[u8]) -> Option<&'t [u8]> {
        self.iter()
            .find(|label| label.0 == name)
            .map(|label| label.1)
    }

    /// A label's value as a count.
    pub(super) fn count(self, name: &[u8]) -> Option<u32> {
        std::str::from_utf8(self.get(name)?)
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// A label's value as text, escapes resolved.
    pub(super) fn text(self, name: &[u8]) -> Option<Cow<'t, str>> {
        let raw = std::str::from_utf8(self.get(name)?).ok()?;
        if !raw.contains('\\') {
            return Some(Cow::Borrowed(raw));
        }
        let mut text = String::with_capacity(raw.len());
        let mut chars = raw.chars();
        while let Some(char) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some(other) => text.push(other),
                    None => {}
                },
                other => text.push(other),
            }
        }
        Some(Cow::Owned(text))
    }
}
