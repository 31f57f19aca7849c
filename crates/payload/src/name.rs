//! Short texts that the gateway keeps: model names and cache salts.

use std::fmt;
use std::sync::Arc;

use crate::BodyError;
use crate::scan::Token;

/// Longest model name or cache salt, in bytes as written.
pub const MAX_NAME_BYTES: usize = 4096;

/// A short text, as far as it could be read.
#[derive(Default)]
pub(crate) enum Name {
    #[default]
    Absent,
    Given(Arc<str>),
    Bad(BodyError),
}

impl Name {
    /// Reads `field`. An empty text counts as absent.
    pub(crate) fn read(text: Token<'_>, field: &'static str) -> Name {
        if text.is_cut() || text.raw().len() > MAX_NAME_BYTES {
            return Name::Bad(BodyError::TooLong {
                field,
                limit: MAX_NAME_BYTES,
            });
        }
        match text.text() {
            Ok(text) if text.is_empty() => Name::Absent,
            Ok(text) => Name::Given(Arc::from(text)),
            Err(_) => Name::Bad(BodyError::NotText { field }),
        }
    }

    pub(crate) fn get(&self) -> Option<&Arc<str>> {
        match self {
            Name::Given(name) => Some(name),
            Name::Absent | Name::Bad(_) => None,
        }
    }

    pub(crate) fn finish(self) -> Result<Option<Arc<str>>, BodyError> {
        match self {
            Name::Absent => Ok(None),
            Name::Given(name) => Ok(Some(name)),
            Name::Bad(error) => Err(error),
        }
    }
}

impl fmt::Debug for Name {
    /// Says whether there is a text, not which: it may be a salt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Name::Absent => "Absent",
            Name::Given(_) => "Given",
            Name::Bad(_) => "Bad",
        })
    }
}

/// The spellings of true in fields that pydantic reads as booleans.
pub(crate) fn is_true(text: &[u8]) -> bool {
    matches!(text, b"true" | b"True" | b"TRUE" | b"1")
}
