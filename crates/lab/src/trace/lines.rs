//! Lines of a trace with their numbers, bounded in length.

use std::io::{BufRead, Read};

use crate::error::LabError;

/// The longest line read. The longest prompt of the published traces needs 2 KiB; this leaves room
/// for a million-token prompt in 16-token blocks.
const MAX_LINE: u64 = 1 << 20;

pub(super) struct Lines<R> {
    input: R,
    name: String,
    number: u64,
    text: String,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, name: &str) -> Self {
        Self {
            input,
            name: name.to_owned(),
            number: 0,
            text: String::new(),
        }
    }

    /// The next line that is neither empty nor a `#` comment, without its line end.
    pub(super) fn next(&mut self) -> Result<Option<&str>, LabError> {
        loop {
            self.text.clear();
            self.number += 1;
            let read = (&mut self.input)
                .take(MAX_LINE + 1)
                .read_line(&mut self.text);
            let length = read.map_err(|error| self.error(format!("unreadable: {error}")))?;
            if length == 0 {
                return Ok(None);
            }
            if length as u64 > MAX_LINE {
                return Err(self.error(format!("line is longer than {MAX_LINE} bytes")));
            }
            let line = self.text.trim();
            if !line.is_empty() && !line.starts_with('#') {
                break;
            }
        }
        Ok(Some(self.text.trim().trim_start_matches('\u{feff}')))
    }

    /// An error at the line read last.
    pub(super) fn error(&self, what: String) -> LabError {
        LabError::Trace {
            name: self.name.clone(),
            line: self.number,
            what,
        }
    }
}
