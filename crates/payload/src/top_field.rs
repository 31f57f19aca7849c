//! One member of a JSON body's outermost object, whichever it is: for plugins that put a field into a header.

use std::ops::Range;
use std::sync::Arc;

use crate::name::Name;
use crate::scan::{Container, Scalar, Scanner, Sink, Token};
use crate::{Body, BodyError, MAX_NAME_BYTES};

/// What stands in the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopField {
    /// It is not there, or is null, a list or an object.
    Missing,
    /// An empty text.
    Empty,
    /// A text, or a number or boolean as written.
    Text(Arc<str>),
}

/// Looks for the member `name`; of several the last one counts.
///
/// # Errors
/// [`BodyError`] when the body is no JSON object, or the text is too long or not valid.
pub fn top_field(body: &Body, name: &str) -> Result<TopField, BodyError> {
    let mut sink = Wanted {
        name: name.as_bytes(),
        here: false,
        empty: false,
        found: Name::Absent,
    };
    let mut scanner = Scanner::new();
    for chunk in body.chunks() {
        scanner.feed(chunk, &mut sink)?;
    }
    scanner.finish()?;
    let empty = sink.empty;
    Ok(match sink.found.finish()? {
        Some(text) => TopField::Text(text),
        None if empty => TopField::Empty,
        None => TopField::Missing,
    })
}

struct Wanted<'n> {
    name: &'n [u8],
    /// Whether the value to come is the one.
    here: bool,
    empty: bool,
    found: Name,
}

impl Wanted<'_> {
    fn takes(&mut self, depth: usize) -> bool {
        depth == 1 && std::mem::take(&mut self.here)
    }
}

impl Sink for Wanted<'_> {
    fn key(&mut self, _at: usize, depth: usize, key: Token<'_>) {
        if depth == 1 {
            self.here = key.text().is_ok_and(|key| key.as_bytes() == self.name);
            if self.here {
                self.found = Name::Absent;
                self.empty = false;
            }
        }
    }

    fn open(&mut self, _at: usize, _depth: usize, _container: Container) {
        self.here = false;
    }

    fn close(&mut self, _end: usize, _depth: usize) {}

    fn string(&mut self, _at: usize, depth: usize) -> usize {
        if depth == 1 && self.here {
            MAX_NAME_BYTES + 1
        } else {
            0
        }
    }

    fn string_end(&mut self, span: Range<usize>, depth: usize, text: Token<'_>) {
        if self.takes(depth) {
            self.empty = span.len() <= 2;
            self.found = Name::read(text, "the field to be routed by");
        }
    }

    fn scalar(&mut self, _span: Range<usize>, depth: usize, scalar: Scalar, text: &[u8]) {
        if self.takes(depth) && scalar != Scalar::Null {
            self.found =
                std::str::from_utf8(text).map_or(Name::Absent, |text| Name::Given(Arc::from(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn body(text: &str, size: usize) -> Body {
        let mut body = Body::new();
        for chunk in text.as_bytes().chunks(size) {
            body.push(Bytes::copy_from_slice(chunk));
        }
        body
    }

    #[test]
    fn fields_of_every_kind_however_the_body_is_cut() {
        let text = |text: &str| TopField::Text(Arc::from(text));
        for (json, want) in [
            (r#"{"user":"a\u0062c","x":{"user":"no"}}"#, text("abc")),
            (r#"{"x":["user"],"user":12.50}"#, text("12.50")),
            (r#"{"user":true}"#, text("true")),
            (r#"{"user":"first","user":"last"}"#, text("last")),
            (r#"{"user":""}"#, TopField::Empty),
            (r#"{"user":null}"#, TopField::Missing),
            (r#"{"user":{"user":"no"}}"#, TopField::Missing),
            (r#"{"user":"was","user":[1]}"#, TopField::Missing),
            (r#"{"model":"m"}"#, TopField::Missing),
        ] {
            for size in 1..json.len() {
                assert_eq!(
                    top_field(&body(json, size), "user"),
                    Ok(want.clone()),
                    "{json} {size}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_json_object_is_an_error() {
        for text in ["[1]", "{\"user\":", "x"] {
            assert!(top_field(&body(text, 100), "user").is_err(), "{text}");
        }
    }
}
