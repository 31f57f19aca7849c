//! One request's progress, and the table of all of them.

use super::{AdapterId, FinishReason, Nanos, RequestId, Submission, Summary, pool::BlockId};

#[derive(Debug)]
pub(super) struct Request {
    pub(super) arrived: Nanos,
    pub(super) scheduled: Option<Nanos>,
    pub(super) first_token: Option<Nanos>,
    pub(super) prompt_tokens: u32,
    pub(super) output_tokens: u32,
    /// Tokens emitted so far.
    pub(super) emitted: u32,
    /// Leading tokens whose KV entries are in `blocks`.
    pub(super) computed: u32,
    pub(super) hashes: Vec<u64>,
    pub(super) blocks: Vec<BlockId>,
    /// Leading blocks that have been made findable, or were found.
    pub(super) committed: usize,
    pub(super) adapter: Option<AdapterId>,
    pub(super) cached_tokens: u32,
    pub(super) preemptions: u32,
    /// Leading tokens to fetch when it is admitted; 0 once it was.
    pub(super) remote_tokens: u32,
    pub(super) hold: bool,
}

impl Request {
    pub(super) fn new(arrived: Nanos, submission: Submission) -> Self {
        Self {
            arrived,
            scheduled: None,
            first_token: None,
            prompt_tokens: submission.prompt_tokens,
            output_tokens: submission.output_tokens,
            emitted: 0,
            computed: 0,
            hashes: submission.blocks,
            blocks: Vec::new(),
            committed: 0,
            adapter: submission.adapter,
            cached_tokens: 0,
            preemptions: 0,
            remote_tokens: submission.remote_tokens,
            hold: submission.hold,
        }
    }

    /// Tokens that exist: the prompt and what was emitted.
    pub(super) fn known(&self) -> u32 {
        self.prompt_tokens + self.emitted
    }

    /// Tokens to compute before the next one can be emitted.
    pub(super) fn remaining(&self) -> u32 {
        self.known() - self.computed
    }

    /// Whether its next step is that of a decode: one token over a computed context.
    pub(super) fn decodes(&self) -> bool {
        self.emitted > 0 && self.remaining() == 1
    }

    /// Blocks that the known sequence needs beyond those it has.
    pub(super) fn missing_blocks(&self, block_size: u32) -> u32 {
        self.missing_ahead(block_size, 0)
    }

    /// The same with so many further tokens.
    pub(super) fn missing_ahead(&self, block_size: u32, tokens: u32) -> u32 {
        (self.known() + tokens)
            .div_ceil(block_size)
            .saturating_sub(self.blocks.len() as u32)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.emitted >= self.output_tokens
    }

    pub(super) fn summary(&self, finished: Nanos, reason: FinishReason) -> Summary {
        Summary {
            arrived: self.arrived,
            scheduled: self.scheduled,
            first_token: self.first_token,
            finished,
            reason,
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            output_tokens: self.emitted,
            preemptions: self.preemptions,
        }
    }
}

/// Live requests by id. Bounded by the sequence slots and the waiting queue. An id is the place of
/// the request with the generation of that place, so that looking up costs no hashing.
#[derive(Debug, Default)]
pub(super) struct RequestTable {
    places: Vec<Place>,
    vacant: Vec<u32>,
    with_adapter: usize,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    request: Option<Request>,
}

impl RequestTable {
    pub(super) fn insert(&mut self, request: Request) -> RequestId {
        self.with_adapter += usize::from(request.adapter.is_some());
        if let Some(at) = self.vacant.pop()
            && let Some(place) = self.places.get_mut(at as usize)
        {
            place.request = Some(request);
            return RequestId {
                place: at,
                generation: place.generation,
            };
        }
        let at = self.places.len() as u32;
        self.places.push(Place {
            generation: 0,
            request: Some(request),
        });
        RequestId {
            place: at,
            generation: 0,
        }
    }

    pub(super) fn get(&self, id: RequestId) -> Option<&Request> {
        let place = self.places.get(id.place as usize)?;
        place
            .request
            .as_ref()
            .filter(|_| place.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        let place = self.places.get_mut(id.place as usize)?;
        place
            .request
            .as_mut()
            .filter(|_| place.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Request> {
        self.get(id)?;
        let place = self.places.get_mut(id.place as usize)?;
        let request = place.request.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.vacant.push(id.place);
        self.with_adapter -= usize::from(request.adapter.is_some());
        Some(request)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Whether any live request asks for an adapter.
    pub(super) fn any_adapter(&self) -> bool {
        self.with_adapter > 0
    }
}
