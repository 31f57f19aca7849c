//! Cutting a stream into lines, resumably. Lines end in LF, CR or CR LF.

use std::ops::Range;

use memchr::memchr2;

/// Where the search for line ends stands, within the bytes that are held.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where the current line starts.
    start: usize,
    /// Up to where there is no line end.
    scanned: usize,
    /// Whether a CR came last, so that an LF would belong to it.
    after_cr: bool,
    /// Whether the beginning of the current line has been forwarded already.
    begun: bool,
}

/// A complete line.
#[derive(Debug)]
pub(super) struct Line {
    /// Its bytes that are still held, without the line end.
    pub(super) content: Range<usize>,
    /// Whether it is empty.
    pub(super) is_blank: bool,
    /// Where the next line starts. If an LF is still to come, it starts with that.
    pub(super) next: usize,
}

impl Lines {
    /// The next complete line of `held`.
    pub(super) fn next(&mut self, held: &[u8]) -> Option<Line> {
        if self.after_cr {
            let &byte = held.get(self.scanned)?;
            self.after_cr = false;
            if byte == b'\n' {
                self.scanned += 1;
                self.start = self.scanned;
            }
        }
        let Some(found) = memchr2(b'\n', b'\r', &held[self.scanned..]) else {
            self.scanned = held.len();
            return None;
        };
        let end = self.scanned + found;
        let content = self.start..end;
        let is_blank = content.is_empty() && !self.begun;
        let mut next = end + 1;
        if held[end] == b'\r' {
            match held.get(next) {
                Some(b'\n') => next += 1,
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        self.start = next;
        self.scanned = next;
        self.begun = false;
        Some(Line {
            content,
            is_blank,
            next,
        })
    }

    /// Where the current line starts.
    pub(super) fn started(&self) -> usize {
        self.start
    }

    /// Whether an LF that comes next would belong to the last line's end.
    pub(super) fn is_after_cr(&self) -> bool {
        self.after_cr
    }

    /// What is held of the last line, which has no end.
    pub(super) fn rest(&self, held: &[u8]) -> Range<usize> {
        self.start.min(held.len())..held.len()
    }

    /// The first `count` of the bytes that were held are held no longer.
    pub(super) fn forwarded(&mut self, count: usize) {
        if count > self.start {
            self.begun = true;
        }
        self.start = self.start.saturating_sub(count);
        self.scanned = self.scanned.saturating_sub(count);
    }
}
