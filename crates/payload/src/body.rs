//! A body as the chain of chunks in which it arrived.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// How many chunks a body may have before small ones are gathered.
const MANY: usize = 16;

/// A chunk below this is small.
const SMALL: usize = 1024;

/// Size of the chunks into which small ones are gathered.
const GATHERED: usize = 16 * 1024;

/// A chain of chunks that is never joined. A clone costs one reference count.
///
/// A chunk costs memory beside its bytes, and so a client that sends a large body byte by byte could
/// make it cost many times its length. Therefore, once there are some chunks, small ones are copied
/// together.
#[derive(Clone, Default)]
pub struct Body {
    chain: Arc<Chain>,
}

#[derive(Clone, Default)]
struct Chain {
    chunks: Vec<Bytes>,
    /// Offset at which the chunk of the same index ends.
    ends: Vec<usize>,
    /// Whether the last chunk is one that gathers small ones.
    gathering: bool,
}

impl Chain {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn append(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.ends.push(self.len() + chunk.len());
        self.chunks.push(chunk);
        self.gathering = false;
    }

    fn gather(&mut self, chunk: &[u8]) {
        let mut room = BytesMut::new();
        if self.gathering
            && let Some(last) = self.chunks.pop()
        {
            self.ends.pop();
            match last.try_into_mut() {
                Ok(last) if last.len() + chunk.len() <= last.capacity() => room = last,
                Ok(full) => self.append(full.freeze()),
                Err(shared) => self.append(shared),
            }
        }
        if room.is_empty() {
            room.reserve(GATHERED);
        }
        room.extend_from_slice(chunk);
        self.append(room.freeze());
        self.gathering = true;
    }
}

impl Body {
    /// An empty body.
    pub fn new() -> Body {
        Body::default()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.chain.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunks in order, none of them empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chain.chunks
    }

    /// Adds a chunk at the end.
    pub fn push(&mut self, chunk: Bytes) {
        let chain = Arc::make_mut(&mut self.chain);
        if chunk.len() < SMALL && chain.chunks.len() >= MANY && !chunk.is_empty() {
            chain.gather(&chunk);
        } else {
            chain.append(chunk);
        }
    }

    /// Adds a chunk at the end without ever copying it.
    pub(crate) fn append(&mut self, chunk: Bytes) {
        Arc::make_mut(&mut self.chain).append(chunk);
    }

    /// The bytes of `range` as consecutive slices; bytes beyond the end are left out.
    pub fn slice(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.parts(range).map(|(chunk, part)| &chunk[part])
    }

    /// Like [`Body::slice`], but the slices share ownership with the body.
    pub fn share(&self, range: Range<usize>) -> impl Iterator<Item = Bytes> {
        self.parts(range).map(|(chunk, part)| chunk.slice(part))
    }

    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (&Bytes, Range<usize>)> {
        let chain = &*self.chain;
        let first = chain.ends.partition_point(|&end| end <= range.start);
        let chunks = chain.chunks[first..].iter().zip(&chain.ends[first..]);
        chunks
            .map(|(chunk, &end)| (chunk, end - chunk.len()))
            .take_while(move |&(_, start)| start < range.end)
            .map(move |(chunk, start)| {
                let from = range.start.saturating_sub(start);
                let to = (range.end - start).min(chunk.len());
                (chunk, from..to)
            })
            .filter(|(_, part)| !part.is_empty())
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(chunks: Vec<Bytes>) -> Body {
        let mut body = Body::new();
        chunks.into_iter().for_each(|chunk| body.push(chunk));
        body
    }
}

impl From<Bytes> for Body {
    fn from(chunk: Bytes) -> Body {
        let mut body = Body::new();
        body.append(chunk);
        body
    }
}

impl fmt::Debug for Body {
    /// Tells sizes, not content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len())
            .field("chunks", &self.chunks().len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
