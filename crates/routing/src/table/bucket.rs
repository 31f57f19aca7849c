use super::Tried;
use super::candidate::{Candidate, Fit};
use crate::{ModelView, RequestView};
use resources::ValueMatch;
use std::collections::HashMap;
use std::sync::Arc;

/// Candidates that share a path condition, best first, found by the model they ask for.
///
/// One rule per model under one prefix is the common shape, with thousands of them; going through
/// all of them would make the last model slow.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    candidates: Vec<Candidate>,
    /// Those that ask for exactly this model.
    by_model: HashMap<Arc<str>, Vec<u32>>,
    /// Those that ask for exactly this base and no exact model.
    by_base: HashMap<Arc<str>, Vec<u32>>,
    /// All others.
    others: Vec<u32>,
}

impl Bucket {
    pub(super) fn push(&mut self, candidate: Candidate) {
        self.candidates.push(candidate);
    }

    /// Puts candidates in order; to be called once, after all have been pushed.
    pub(super) fn sort(&mut self) {
        self.candidates.sort_by(Candidate::precedence);
        for (index, candidate) in (0_u32..).zip(&self.candidates) {
            let list = match (&candidate.model, &candidate.base) {
                (Some(ValueMatch::Exact(model)), _) => {
                    self.by_model.entry(Arc::clone(model)).or_default()
                }
                (_, Some(ValueMatch::Exact(base))) => {
                    self.by_base.entry(Arc::clone(base)).or_default()
                }
                _ => &mut self.others,
            };
            list.push(index);
        }
    }

    /// Finds the first candidate that fits.
    pub(super) fn find(&self, request: &RequestView<'_>) -> Tried {
        let empty: &[u32] = &[];
        let lists = match request.model {
            // Every candidate may come to count.
            ModelView::Unread => return first(self.candidates.iter(), request),
            ModelView::Absent => [empty, empty, &self.others],
            ModelView::Named { model, base } => [
                self.by_model.get(model).map_or(empty, Vec::as_slice),
                base.and_then(|base| self.by_base.get(base))
                    .map_or(empty, Vec::as_slice),
                &self.others,
            ],
        };
        first(
            Merged { lists }.filter_map(|index| self.candidates.get(index as usize)),
            request,
        )
    }
}

fn first<'c>(candidates: impl Iterator<Item = &'c Candidate>, request: &RequestView<'_>) -> Tried {
    for candidate in candidates {
        match candidate.fits(request) {
            Fit::Yes => return Tried::Match(candidate.address),
            Fit::IfModel => return Tried::NeedsModel,
            Fit::No => {}
        }
    }
    Tried::Nothing
}

/// Goes through ordered lists as through one.
struct Merged<'l> {
    lists: [&'l [u32]; 3],
}

impl Iterator for Merged<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let heads = self.lists.iter_mut().filter(|list| !list.is_empty());
        let list = heads.min_by_key(|list| list[0])?;
        let (head, rest) = list.split_first()?;
        *list = rest;
        Some(*head)
    }
}
