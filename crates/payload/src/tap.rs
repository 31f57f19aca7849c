//! Watches a streamed answer go by without touching it, for doors that must pass every byte at once.

use bytes::BytesMut;
use memchr::{memchr, memmem};

use crate::reply::Reply;
use crate::scan::Scanner;
use crate::stream::{MAX_EVENT_BYTES, Progress};
use crate::usage::Counts;
use crate::{Api, StreamReader, Usage};

/// Reads server-sent events line by line: every model server puts one JSON object on one `data` line.
///
/// [`StreamReader`] holds events back until they are whole, so that it may change them and so that an error event may
/// follow. A tap only looks. It is more lenient: it does not need the empty line after an event, and takes a chunk that
/// begins with `data:` for a new line.
///
/// Once the first content has passed, only lines that mention usage are looked into.
#[derive(Debug)]
pub struct StreamTap {
    /// The beginning of a line whose end has not come yet.
    carry: BytesMut,
    /// Whether the current line grew too long and passes unread.
    passing: bool,
    counts: Counts,
    saw_content: bool,
    saw_end: bool,
    wants_end_marker: bool,
}

impl StreamTap {
    /// A tap for the answer to a request of `api`.
    #[must_use]
    pub fn new(api: Api) -> StreamTap {
        StreamTap {
            carry: BytesMut::new(),
            passing: false,
            counts: Counts::default(),
            saw_content: false,
            saw_end: false,
            wants_end_marker: StreamReader::new(api, None).wants_end_marker(),
        }
    }

    /// Looks at the next bytes. At most [`MAX_EVENT_BYTES`] of an unfinished line are kept.
    pub fn push(&mut self, chunk: &[u8]) -> Progress {
        let mut progress = Progress::default();
        if !self.carry.is_empty() && chunk.starts_with(b"data:") {
            self.end_line(&mut progress);
        }
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = &after[1..];
            if self.carry.is_empty() && !self.passing {
                self.line(line, &mut progress);
            } else {
                self.carry.extend_from_slice(line);
                self.end_line(&mut progress);
            }
        }
        if self.carry.len() + rest.len() > MAX_EVENT_BYTES {
            self.passing = true;
            self.carry.clear();
        } else if !self.passing {
            self.carry.extend_from_slice(rest);
        }
        progress
    }

    /// The stream ended: looks at what may stand in an unfinished line.
    pub fn finish(&mut self) {
        self.end_line(&mut Progress::default());
    }

    /// Counts seen so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }

    /// Whether the API's end marker went by.
    #[must_use]
    pub fn saw_end(&self) -> bool {
        self.saw_end
    }

    /// Whether the API's end marker went by, or the API has none.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.saw_end || !self.wants_end_marker
    }

    fn end_line(&mut self, progress: &mut Progress) {
        let line = self.carry.split();
        if !std::mem::take(&mut self.passing) {
            self.line(&line, progress);
        }
    }

    fn line(&mut self, line: &[u8], progress: &mut Progress) {
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        let data = data.trim_ascii();
        progress.events += 1;
        if data == b"[DONE]" {
            self.saw_end = true;
        } else if !self.saw_content || memmem::find(data, b"\"usage\"").is_some() || ends(data) {
            self.object(data, progress);
        } else {
            progress.content_events += 1;
        }
    }

    fn object(&mut self, data: &[u8], progress: &mut Progress) {
        let mut reply = Reply::default();
        let mut scanner = Scanner::new();
        if scanner.feed(data, &mut reply).is_err() || !scanner.is_done() {
            return;
        }
        self.counts.merge(&reply.counts);
        self.saw_end |= reply.is_end() || reply.is_error();
        if reply.has_content() {
            progress.content_events += 1;
            progress.first_content |= !std::mem::replace(&mut self.saw_content, true);
        }
    }
}

/// Whether a line may be the last event of an API that names its events in the data.
fn ends(data: &[u8]) -> bool {
    const HEAD: usize = 96;
    let head = &data[..data.len().min(HEAD)];
    [
        &b"message_stop"[..],
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
        b"\"error\"",
    ]
    .iter()
    .any(|mark| memmem::find(head, mark).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
        ": comment\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"the \\\"usage\\\" of\"}}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":10,",
        "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n",
        "data: [DONE]\n\n",
    );

    fn watch(api: Api, text: &str, size: usize) -> (StreamTap, u32, u32) {
        let mut tap = StreamTap::new(api);
        let (mut first, mut content) = (0, 0);
        for chunk in text.as_bytes().chunks(size) {
            let progress = tap.push(chunk);
            first += u32::from(progress.first_content);
            content += progress.content_events;
        }
        tap.finish();
        (tap, first, content)
    }

    #[test]
    fn usage_content_and_end_however_the_stream_is_cut() {
        for size in 1..CHAT.len() {
            let (tap, first, content) = watch(Api::ChatCompletions, CHAT, size);
            let usage = tap.usage().unwrap();
            assert_eq!(usage.prompt_tokens, Some(7), "{size}");
            assert_eq!(usage.output_tokens, Some(10));
            assert_eq!(usage.cached_tokens, Some(4));
            assert_eq!((first, content), (1, 2), "{size}");
            assert!(tap.is_complete());
        }
    }

    #[test]
    fn a_stream_without_its_end_marker_is_not_complete() {
        let cut = CHAT.strip_suffix("data: [DONE]\n\n").unwrap();
        assert!(!watch(Api::ChatCompletions, cut, 50).0.is_complete());
        assert!(watch(Api::Other, cut, 50).0.is_complete());
    }

    #[test]
    fn events_without_line_ends_between_chunks_are_told_apart() {
        let mut tap = StreamTap::new(Api::Completions);
        tap.push(b"data: {}");
        tap.push(b"data: {\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}\ndata: [DONE]");
        tap.finish();
        assert_eq!(tap.usage().unwrap().output_tokens, Some(10));
        assert!(tap.is_complete());
    }

    #[test]
    fn typed_events_end_by_their_type() {
        for (api, end) in [
            (Api::AnthropicMessages, "{\"type\":\"message_stop\"}"),
            (
                Api::Responses,
                "{\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3}}}",
            ),
        ] {
            let text = format!("event: x\ndata: {end}\n\n");
            assert!(watch(api, &text, 7).0.is_complete(), "{api:?}");
        }
    }

    #[test]
    fn a_line_too_long_to_keep_passes_unread() {
        let mut tap = StreamTap::new(Api::ChatCompletions);
        let chunk = vec![b'x'; 100_000];
        for _ in 0..30 {
            tap.push(&chunk);
            assert!(tap.carry.len() <= MAX_EVENT_BYTES);
        }
        tap.push(b"\n");
        tap.push(CHAT.as_bytes());
        assert!(tap.usage().is_some());
    }
}
