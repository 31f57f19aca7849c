//! A body as the chain of chunks in which it arrived.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// A chain of chunks, never joined. A clone costs one reference count.
#[derive(Clone, Default)]
pub struct Body {
    chain: Arc<Chain>,
}

#[derive(Clone, Default)]
struct Chain {
    chunks: Vec<Bytes>,
    /// Offset at which the chunk of the same index ends.
    ends: Vec<usize>,
}

impl Body {
    /// An empty body.
    pub fn new() -> Body {
        Body::default()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.chain.ends.last().copied().unwrap_or(0)
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunks in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chain.chunks
    }

    /// Appends a chunk.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let end = self.len() + chunk.len();
        let chain = Arc::make_mut(&mut self.chain);
        chain.chunks.push(chunk);
        chain.ends.push(end);
    }

    /// The bytes of `range` as consecutive slices; bytes beyond the end are left out.
    pub fn slice(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let chain = &*self.chain;
        let first = chain.ends.partition_point(|&end| end <= range.start);
        let chunks = chain.chunks[first..].iter().zip(&chain.ends[first..]);
        chunks
            .map(move |(chunk, &end)| (chunk, end - chunk.len()))
            .take_while(move |(_, start)| *start < range.end)
            .map(move |(chunk, start)| {
                let from = range.start.saturating_sub(start).min(chunk.len());
                let to = (range.end - start).clamp(from, chunk.len());
                &chunk[from..to]
            })
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(chunks: Vec<Bytes>) -> Body {
        let mut body = Body::new();
        for chunk in chunks {
            body.push(chunk);
        }
        body
    }
}

impl From<Bytes> for Body {
    fn from(chunk: Bytes) -> Body {
        let mut body = Body::new();
        body.push(chunk);
        body
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len())
            .field("chunks", &self.chunks().len())
            .finish()
    }
}
