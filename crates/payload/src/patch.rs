//! Changing `model` in a body without touching anything else.

use std::ops::Range;

use bytes::Bytes;

use crate::{Body, Facts};

/// The body with the JSON token at `span` replaced by the string `model`. No byte of the body is
/// copied.
///
/// For forms use [`Facts::rewrite`], which knows when not to quote.
pub fn patch_model(body: &Body, span: &Range<usize>, model: &str) -> Body {
    splice(body, &[(span.clone(), Bytes::from(quoted(model)))])
}

impl Facts {
    /// The body these facts were read from, naming another model and, with `ask_usage`, asking for
    /// token usage in the stream. What the body has no place for is left undone: a model can only
    /// be replaced, and only JSON can ask for usage.
    pub fn rewrite(&self, body: &Body, model: Option<&str>, ask_usage: bool) -> Body {
        let mut edits = Vec::with_capacity(2);
        if let (Some(span), Some(model)) = (&self.model_span, model) {
            let text = if self.model_in_form {
                model.to_owned()
            } else {
                quoted(model)
            };
            edits.push((span.clone(), Bytes::from(text)));
        }
        if let (Some(edit), true) = (&self.usage_edit, ask_usage) {
            edits.push((edit.range.clone(), Bytes::from_static(edit.text.as_bytes())));
        }
        edits.sort_by_key(|(range, _)| range.start);
        if edits.is_empty() {
            body.clone()
        } else {
            splice(body, &edits)
        }
    }
}

/// A text as a JSON string with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Replaces ranges, which must be in order and apart.
fn splice(body: &Body, edits: &[(Range<usize>, Bytes)]) -> Body {
    let mut patched = Body::new();
    let mut at = 0;
    for (range, text) in edits {
        body.share(at..range.start)
            .for_each(|chunk| patched.append(chunk));
        patched.append(text.clone());
        at = range.end;
    }
    body.share(at..body.len())
        .for_each(|chunk| patched.append(chunk));
    patched
}

#[cfg(test)]
mod tests;
