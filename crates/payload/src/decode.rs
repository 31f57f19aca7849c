//! Undoing `Content-Encoding` (RFC 9110 section 8.4).
//!
//! The decoders are pure Rust, hold a window of at most 16 MiB (Brotli; zstd is held to the 8 MiB of
//! RFC 9659) and are stopped as soon as they give more than was allowed, so that a small body cannot
//! fill the memory.

use std::io::{self, BufRead, Read};

use brotli_decompressor::{BrotliDecoderParameter, Decompressor};
use bytes::{Buf, Bytes};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::{Body, BodyError};

/// Most codings that are undone one after the other.
const MAX_CODINGS: usize = 3;

/// The largest zstd window (RFC 9659 section 3).
const ZSTD_WINDOW: u64 = 8 * 1024 * 1024;

/// Most zstd frames in one body; one is usual.
const ZSTD_FRAMES: usize = 1024;

/// Bytes of output in one chunk.
const OUTPUT: usize = 64 * 1024;

/// Bytes that the Brotli reader takes at once.
const BROTLI_INPUT: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// Reads one member of a `Content-Encoding` list; `None` for no coding at all.
    fn parse(name: &str) -> Result<Option<Coding>, BodyError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Coding::Gzip)),
            "deflate" => Ok(Some(Coding::Deflate)),
            "br" => Ok(Some(Coding::Brotli)),
            "zstd" => Ok(Some(Coding::Zstd)),
            _ => Err(BodyError::UnsupportedEncoding),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }
}

/// Undoes the codings of a `Content-Encoding` header value, giving at most `limit` bytes.
///
/// An empty body stays empty, whatever the codings. Inflating is work for the CPU (about 1 ms for
/// 300 KB of output): large bodies do not belong on an async worker.
///
/// # Errors
///
/// [`BodyError::UnsupportedEncoding`], [`BodyError::BadEncoding`] or, as soon as more than `limit`
/// bytes come out, [`BodyError::TooLarge`].
pub fn decode(encoding: &str, limit: usize, body: &Body) -> Result<Body, BodyError> {
    let mut codings = Vec::new();
    for name in encoding.split(',') {
        if let Some(coding) = Coding::parse(name)? {
            codings.push(coding);
        }
        if codings.len() > MAX_CODINGS {
            return Err(BodyError::UnsupportedEncoding);
        }
    }
    let mut body = body.clone();
    if body.is_empty() {
        return Ok(body);
    }
    // The list is in the order in which the codings were applied.
    for coding in codings.into_iter().rev() {
        body = undo(coding, limit, &body)?;
    }
    Ok(body)
}

fn undo(coding: Coding, limit: usize, body: &Body) -> Result<Body, BodyError> {
    let input = Input::new(body);
    let output = match coding {
        Coding::Gzip => drain(MultiGzDecoder::new(input), limit),
        Coding::Deflate if is_zlib(body) => drain(ZlibDecoder::new(input), limit),
        // Some clients leave the zlib wrapper out, against RFC 9110 section 8.4.1.2.
        Coding::Deflate => drain(DeflateDecoder::new(input), limit),
        Coding::Brotli => brotli(input, limit),
        Coding::Zstd => zstd(input, limit),
    };
    match output {
        Ok(Some(output)) => Ok(output),
        Ok(None) => Err(BodyError::TooLarge { limit }),
        Err(_) => Err(BodyError::BadEncoding {
            encoding: coding.name(),
        }),
    }
}

fn brotli(input: Input<'_>, limit: usize) -> io::Result<Option<Body>> {
    let mut decoder = Decompressor::new(input, BROTLI_INPUT);
    // Windows of up to 1 GiB are not part of RFC 7932.
    decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
    drain(decoder, limit)
}

fn zstd(mut input: Input<'_>, limit: usize) -> io::Result<Option<Body>> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW);
    let mut output = Body::new();
    for _ in 0..ZSTD_FRAMES {
        if input.fill_buf()?.is_empty() {
            return Ok(Some(output));
        }
        let frame = StreamingDecoder::new_with_decoder(&mut input, &mut decoder)
            .map_err(io::Error::other)?;
        if !drain_into(frame, limit, &mut output)? {
            return Ok(None);
        }
    }
    Err(io::Error::other("too many frames"))
}

/// Whether the body starts with a zlib header (RFC 1950 section 2.2).
fn is_zlib(body: &Body) -> bool {
    let mut start = Input::new(body).bytes();
    match (start.next(), start.next()) {
        (Some(Ok(method)), Some(Ok(flags))) => {
            method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0
        }
        _ => false,
    }
}

/// Everything that comes out of `decoder`, or `None` when that is too much.
fn drain(decoder: impl Read, limit: usize) -> io::Result<Option<Body>> {
    let mut output = Body::new();
    Ok(drain_into(decoder, limit, &mut output)?.then_some(output))
}

fn drain_into(mut decoder: impl Read, limit: usize, output: &mut Body) -> io::Result<bool> {
    loop {
        let mut chunk = Vec::new();
        // One byte more than allowed tells that it is too much.
        let room = (limit - output.len()).saturating_add(1).min(OUTPUT);
        decoder.by_ref().take(room as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(true);
        }
        if output.len() + chunk.len() > limit {
            return Ok(false);
        }
        output.push(Bytes::from(chunk));
    }
}

/// A body as the source of a decoder.
struct Input<'b> {
    chunks: &'b [Bytes],
    current: &'b [u8],
}

impl<'b> Input<'b> {
    fn new(body: &'b Body) -> Input<'b> {
        Input {
            chunks: body.chunks(),
            current: &[],
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            let Some((next, rest)) = self.chunks.split_first() else {
                break;
            };
            self.current = next;
            self.chunks = rest;
        }
        Ok(self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }
}

#[cfg(test)]
mod tests;
