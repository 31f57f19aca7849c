//! vLLM's gRPC API (`vllm.grpc.engine.VllmEngine`): messages in length-prefixed frames, read field by field.
//!
//! Only the few fields that routing needs are looked at, in place. Field numbers are those of vLLM's `vllm_engine.proto`;
//! frames follow the gRPC protocol over HTTP/2, wire types the Protocol Buffers encoding.

mod wire;

use bytes::{Buf, BytesMut};

use crate::facts::PromptSpan;
use crate::stream::{MAX_EVENT_BYTES, Progress};
use crate::usage::Counts;
use crate::{Api, BodyError, Facts, PromptKind, Usage};
use wire::{Value, fields};

/// Bytes before each message: one flag, four of big-endian length.
const FRAME_HEAD: usize = 5;

/// Collects the one frame of a request.
#[derive(Debug)]
pub(crate) struct GrpcRequest {
    api: Api,
    body: Vec<u8>,
}

impl GrpcRequest {
    pub(crate) fn new(api: Api) -> Self {
        Self {
            api,
            body: Vec::new(),
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    /// Reads the frame; what follows it is ignored.
    pub(crate) fn finish(self) -> Result<Facts, BodyError> {
        let message = match frame(&self.body) {
            Some(Frame::Plain(length)) => &self.body[FRAME_HEAD..FRAME_HEAD + length],
            Some(Frame::Compressed(_)) => {
                return Err(wrong("compressed messages are not supported"));
            }
            None => return Err(wrong("it must be one whole length-prefixed message")),
        };
        let mut facts = Facts {
            bytes: self.body.len(),
            ..Facts::default()
        };
        let read = match self.api {
            Api::VllmGrpcEmbed => read_embed(message, &mut facts),
            _ => read_generate(message, &mut facts),
        };
        read.ok_or_else(|| wrong("it is not the message its path asks for"))?;
        if facts.prompt.is_empty() {
            return Err(wrong("it must hold a text or token ids"));
        }
        Ok(facts)
    }
}

fn wrong(what: &'static str) -> BodyError {
    BodyError::Grpc { what }
}

enum Frame {
    Plain(usize),
    Compressed(usize),
}

/// The frame at the beginning of `bytes`, if it is whole.
fn frame(bytes: &[u8]) -> Option<Frame> {
    let (head, rest) = bytes.split_at_checked(FRAME_HEAD)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    match head[0] {
        0 if rest.len() >= length => Some(Frame::Plain(length)),
        1 if rest.len() >= length => Some(Frame::Compressed(length)),
        _ => None,
    }
}

/// `GenerateRequest`: `tokenized` = 2, `text` = 3, `sampling_params` = 4, `stream` = 5.
fn read_generate(message: &[u8], facts: &mut Facts) -> Option<()> {
    for field in fields(message) {
        match field? {
            (2, Value::Bytes(range)) => read_tokenized(message, range.start, range.end, facts)?,
            (3, Value::Bytes(range)) => {
                std::str::from_utf8(message.get(range.clone())?).ok()?;
                note(facts, range);
            }
            (5, Value::Varint(value)) => facts.stream = value != 0,
            _ => {}
        }
    }
    Some(())
}

/// `EmbedRequest`: `tokenized` = 2.
fn read_embed(message: &[u8], facts: &mut Facts) -> Option<()> {
    for field in fields(message) {
        if let (2, Value::Bytes(range)) = field? {
            read_tokenized(message, range.start, range.end, facts)?;
        }
    }
    Some(())
}

/// `TokenizedInput`: `original_text` = 1, `input_ids` = 2 (packed). Ids go before the text they were made of.
fn read_tokenized(message: &[u8], start: usize, end: usize, facts: &mut Facts) -> Option<()> {
    let inner = message.get(start..end)?;
    let (mut text, mut ids) = (None, None);
    for field in fields(inner) {
        match field? {
            (1, Value::Bytes(range)) => text = Some(range),
            (2, Value::Bytes(range)) => ids = Some(range),
            _ => {}
        }
    }
    if let Some(range) = &ids {
        // A varint ends in the byte without the continuation bit.
        let count = inner
            .get(range.clone())?
            .iter()
            .filter(|byte| **byte < 0x80);
        facts.token_ids = Some(count.count());
    }
    if let Some(range) = ids.or(text) {
        note(facts, range.start + start..range.end + start);
    }
    Some(())
}

/// Notes a part of the prompt. Packed ids are taken as bytes: equal prefixes of ids are equal prefixes of bytes.
fn note(facts: &mut Facts, range: std::ops::Range<usize>) {
    facts.prompt_bytes = range.len();
    facts.prompt = vec![PromptSpan {
        range: range.start + FRAME_HEAD..range.end + FRAME_HEAD,
        kind: PromptKind::Text,
    }];
}

/// Watches the frames of an answer go by, and notes token counts and the first content.
#[derive(Debug)]
pub struct GrpcTap {
    api: Api,
    carry: BytesMut,
    /// Bytes of a frame too large to be read that have yet to pass.
    skip: usize,
    counts: Counts,
    saw_content: bool,
}

impl GrpcTap {
    /// A tap for the answer to a request of `api`.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self {
            api,
            carry: BytesMut::new(),
            skip: 0,
            counts: Counts::default(),
            saw_content: false,
        }
    }

    /// Looks at the next bytes. At most [`MAX_EVENT_BYTES`] of an unfinished frame are kept.
    pub fn push(&mut self, chunk: &[u8]) -> Progress {
        let passed = self.skip.min(chunk.len());
        self.skip -= passed;
        self.carry.extend_from_slice(&chunk[passed..]);
        let mut progress = Progress::default();
        while let Some(found) = frame(&self.carry) {
            let (Frame::Plain(length) | Frame::Compressed(length)) = found;
            let whole = self.carry.split_to(FRAME_HEAD + length);
            progress.events += 1;
            if matches!(found, Frame::Plain(_)) {
                self.read(&whole[FRAME_HEAD..], &mut progress);
            }
        }
        if self.carry.len() > MAX_EVENT_BYTES {
            let length =
                u32::from_be_bytes([self.carry[1], self.carry[2], self.carry[3], self.carry[4]])
                    as usize;
            self.skip = (FRAME_HEAD + length).saturating_sub(self.carry.len());
            self.carry.advance(self.carry.len());
        }
        progress
    }

    /// Counts seen so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }

    fn read(&mut self, message: &[u8], progress: &mut Progress) {
        let mut content = false;
        for field in fields(message).map_while(|field| field) {
            match (self.api, field) {
                // EmbedResponse: `prompt_tokens` = 2.
                (Api::VllmGrpcEmbed, (2, Value::Varint(tokens))) => {
                    self.counts.prompt = self.counts.prompt.max(Some(tokens));
                }
                // GenerateResponse: `chunk` = 1 {ids 1, prompt 2, completion 3, cached 4}.
                (_, (1, Value::Bytes(range))) => {
                    content |= self.part(&message[range], [2, 3, 4]);
                }
                // GenerateResponse: `complete` = 2 {ids 1, reason 2, prompt 3, completion 4, cached 5}.
                (_, (2, Value::Bytes(range))) => {
                    content |= self.part(&message[range], [3, 4, 5]);
                }
                _ => {}
            }
        }
        if content {
            progress.content_events += 1;
            progress.first_content |= !std::mem::replace(&mut self.saw_content, true);
        }
    }

    /// Reads the counts of one part of an answer; the numbers of their fields are given. Tells whether it has tokens.
    fn part(&mut self, part: &[u8], [prompt, output, cached]: [u32; 3]) -> bool {
        let mut content = false;
        for (number, value) in fields(part).map_while(|field| field) {
            match value {
                Value::Bytes(range) if number == 1 => content |= !range.is_empty(),
                Value::Varint(count) if number == prompt => {
                    self.counts.prompt = self.counts.prompt.max(Some(count));
                }
                Value::Varint(count) if number == output => {
                    self.counts.output = self.counts.output.max(Some(count));
                }
                Value::Varint(count) if number == cached => {
                    self.counts.details = self.counts.details.max(Some(count));
                    self.counts.cached = crate::FieldState::Given;
                }
                _ => {}
            }
        }
        content
    }
}

#[cfg(test)]
mod tests;
