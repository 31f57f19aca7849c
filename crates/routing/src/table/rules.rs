use super::bucket::Bucket;
use super::{Candidate, Tried};
use crate::RequestView;
use resources::PathMatch;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// All candidates under one hostname, by their path condition.
#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    exact: HashMap<Arc<str>, Bucket>,
    /// The longest first, then in the order of their text.
    expressions: Vec<(regex::Regex, Bucket)>,
    prefixes: HashMap<Arc<str>, Bucket>,
    /// Lengths of the prefixes, each once, the longest first.
    prefix_lengths: Vec<usize>,
}

impl RuleIndex {
    pub(super) fn push(&mut self, candidate: Candidate) {
        let bucket = match &candidate.path {
            PathMatch::Exact(path) => self.exact.entry(Arc::clone(path)).or_default(),
            PathMatch::Prefix(prefix) => self.prefixes.entry(Arc::clone(prefix)).or_default(),
            PathMatch::Regex(regex) => expression(&mut self.expressions, regex),
        };
        bucket.push(candidate);
    }

    /// Puts candidates in order; to be called once, after all have been pushed.
    pub(super) fn sort(&mut self) {
        self.exact.values_mut().for_each(Bucket::sort);
        self.prefixes.values_mut().for_each(Bucket::sort);
        self.expressions
            .iter_mut()
            .for_each(|(_, bucket)| bucket.sort());
        self.expressions.sort_by(|(a, _), (b, _)| {
            (Reverse(a.as_str().len()), a.as_str()).cmp(&(Reverse(b.as_str().len()), b.as_str()))
        });
        self.prefix_lengths = self.prefixes.keys().map(|prefix| prefix.len()).collect();
        self.prefix_lengths
            .sort_unstable_by_key(|length| Reverse(*length));
        self.prefix_lengths.dedup();
    }

    /// Finds the first candidate that fits.
    pub(super) fn find(&self, request: &RequestView<'_>) -> Tried {
        let exact = self.exact.get(request.path).into_iter();
        let expressions = self.expressions.iter();
        let expressions = expressions
            .filter(|(regex, _)| regex.is_match(request.path))
            .map(|(_, bucket)| bucket);
        for bucket in exact
            .chain(expressions)
            .chain(self.prefixes_of(request.path))
        {
            match bucket.find(request) {
                Tried::Nothing => {}
                tried => return tried,
            }
        }
        Tried::Nothing
    }

    /// Buckets of all prefixes of a path, the longest first. One look-up for each length that
    /// some rule has, so a path with many slashes costs no more than another.
    fn prefixes_of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Bucket> {
        let ends_element =
            |length: &usize| matches!(path.as_bytes().get(*length), None | Some(b'/'));
        self.prefix_lengths
            .iter()
            .copied()
            .filter(move |length| *length <= path.len())
            .filter(ends_element)
            .filter_map(|length| self.prefixes.get(path.get(..length)?))
    }
}

fn expression<'e>(
    expressions: &'e mut Vec<(regex::Regex, Bucket)>,
    regex: &regex::Regex,
) -> &'e mut Bucket {
    let index = expressions
        .iter()
        .position(|(known, _)| known.as_str() == regex.as_str())
        .unwrap_or_else(|| {
            expressions.push((regex.clone(), Bucket::default()));
            expressions.len() - 1
        });
    &mut expressions[index].1
}
