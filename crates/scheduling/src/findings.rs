//! What plugins found out about the request at hand.

use std::cell::Cell;
use std::sync::Arc;

use signals::Endpoint;
use smallvec::SmallVec;

use crate::Prediction;
use crate::hooks::Attribute;

/// Which prefix index a plugin looks at. The first is that of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceId(pub(crate) u8);

impl SourceId {
    /// The pool's own index.
    pub const POOL: SourceId = SourceId(0);

    /// Place among the sources beside the pool's own.
    pub(crate) fn beside(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }
}

/// Matches in a prefix index beside the pool's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matches {
    /// Leading blocks held, endpoint by endpoint; empty = none.
    pub(crate) blocks: Vec<u32>,
}

/// A place for one number that a plugin keeps during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot(pub(crate) u16);

/// What plugins found out about the request at hand. Empty with plugins that look at nothing but
/// the endpoints' state.
#[derive(Debug, Default)]
pub struct Findings {
    pub(crate) attributes: SmallVec<[Attribute; 2]>,
    pub(crate) predictions: Vec<Prediction>,
    pub(crate) media: Vec<f32>,
    pub(crate) tokens_in_flight: Vec<u64>,
    pub(crate) beside: Vec<Matches>,
    pub(crate) peer: Option<Arc<Endpoint>>,
    pub(crate) notes: Vec<Cell<u64>>,
}

impl Findings {
    /// Empties it for the next run, with room for `notes` notes.
    pub(crate) fn reset(&mut self, notes: usize, sources: usize) {
        self.attributes.clear();
        self.predictions.clear();
        self.media.clear();
        self.tokens_in_flight.clear();
        self.peer = None;
        self.beside.resize_with(sources, Matches::default);
        for matches in &mut self.beside {
            matches.blocks.clear();
        }
        self.notes.clear();
        self.notes.resize_with(notes, Cell::default);
    }

    pub(crate) fn set_matches(&mut self, source: SourceId, blocks: Vec<u32>) {
        if let Some(matches) = source.beside().and_then(|place| self.beside.get_mut(place)) {
            matches.blocks = blocks;
        }
    }

    /// The endpoint that will work on the request together with the one to be chosen.
    #[must_use]
    pub fn peer(&self) -> Option<&Arc<Endpoint>> {
        self.peer.as_ref()
    }

    /// A fact about the request. An empty `producer` takes it from any.
    #[must_use]
    pub fn attribute(&self, key: &str, producer: &str) -> Option<&str> {
        let fits = |known: &&Attribute| {
            known.key == key && (producer.is_empty() || *known.producer == *producer)
        };
        self.attributes.iter().find(fits).map(|found| &*found.value)
    }

    /// What the endpoint at `index` is expected to do with the request.
    #[must_use]
    pub fn prediction(&self, index: u32) -> Option<&Prediction> {
        let prediction = self.predictions.get(index as usize);
        prediction.filter(|prediction| prediction.is_some())
    }

    /// Share of the request's media that the endpoint at `index` holds encoded.
    #[must_use]
    pub fn media_share(&self, index: u32) -> Option<f32> {
        self.media.get(index as usize).copied()
    }

    /// The number in a slot, 0 at the start of a run.
    #[must_use]
    pub fn note(&self, slot: Slot) -> u64 {
        self.notes.get(usize::from(slot.0)).map_or(0, Cell::get)
    }

    /// Puts a number in a slot.
    pub fn set_note(&self, slot: Slot, value: u64) {
        if let Some(note) = self.notes.get(usize::from(slot.0)) {
            note.set(value);
        }
    }
}
