//! What a scheduler needs to know about its plugins as a whole.

use std::sync::Arc;

use super::instances::Instances;
use super::{BuildOptions, Findings};
use crate::kind::Handouts;
use crate::producers::ApproximatePrefix;
use crate::scheduler::Hooks;
use crate::settings::Setting;
use crate::{Placed, PrefixIndex, Query, Reads, Scheduler, Scratch};

/// Profile whose choice gets the prompt's blocks too.
const PREFILL: &str = "prefill";

/// A prefix index beside the pool's own.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) name: Arc<str>,
    pub(crate) index: Arc<PrefixIndex>,
    parameters: ApproximatePrefix,
    /// Filled from where prompts were sent, rather than by a plugin of its own.
    learns: bool,
}

/// What a scheduler needs to know about its plugins as a whole.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) handouts: Handouts,
    /// Numbers that plugins keep during a run.
    pub(crate) slots: usize,
    /// Prefix indexes beside the pool's own, in the order of their source ids.
    pub(crate) beside: Vec<Beside>,
    /// There are screeners, producers, admitters, header readers or further indexes.
    pub(crate) looks_around: bool,
    /// How the pool's own index is set, if it is configured.
    pub(crate) pool: Option<ApproximatePrefix>,
    pub(crate) reads: Reads,
}

impl Layout {
    pub(super) fn of(
        instances: &Instances<'_>,
        hooks: &Hooks,
        options: BuildOptions,
        previous: Option<&Scheduler>,
        findings: &mut Findings<'_>,
    ) -> Self {
        let handouts = instances.handouts.clone();
        let settings = |name: &str| {
            instances
                .get(name)
                .and_then(|made| made.instance.setting.clone())
        };
        let beside: Vec<Beside> = handouts
            .sources
            .iter()
            .map(|name| {
                let known = previous.and_then(|scheduler| {
                    scheduler
                        .layout
                        .beside
                        .iter()
                        .find(|known| known.name == *name)
                });
                let parameters = match settings(name) {
                    Some(Setting::ApproximatePrefix(parameters)) => Some(parameters),
                    _ => None,
                };
                Beside {
                    name: Arc::clone(name),
                    index: known.map_or_else(
                        || Arc::new(PrefixIndex::new(options.seed)),
                        |known| Arc::clone(&known.index),
                    ),
                    learns: parameters.is_some(),
                    parameters: parameters.unwrap_or_default(),
                }
            })
            .collect();
        if beside.len() > usize::from(u8::MAX) - 1 {
            findings.error("plugins", "has more than 254 prefix producers");
        }
        let pool = match settings(crate::data::Data::PrefixMatch.usual_producer()) {
            Some(Setting::ApproximatePrefix(parameters)) => Some(parameters),
            _ => None,
        };
        let looks_around = !(beside.is_empty()
            && hooks.headers.is_empty()
            && hooks.screeners.is_empty()
            && hooks.producers.is_empty()
            && hooks.admitters.is_empty());
        Self {
            slots: handouts.slots.len(),
            handouts,
            beside,
            looks_around,
            pool,
            reads: Reads::NOTHING,
        }
    }

    /// The request with as much of its prompt as the pool's index is to look at.
    pub(crate) fn cut<'q>(&self, query: &Query<'q>) -> Query<'q> {
        let pool = self.pool.as_ref();
        let most = pool.and_then(|pool| pool.blocks_max(query.block_tokens));
        let most = most.unwrap_or(usize::MAX).min(query.blocks.len());
        Query {
            blocks: &query.blocks[..most],
            ..*query
        }
    }

    /// Looks the prompt up in the indexes beside the pool's own.
    pub(crate) fn match_beside(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let endpoints = scratch.states.len();
        for (source, matches) in self.beside.iter().zip(&mut scratch.findings.beside) {
            if source.learns {
                matches.blocks.resize(endpoints, 0);
                let most = source.parameters.blocks_max(query.block_tokens);
                let blocks = &query.blocks[..query.blocks.len().min(most.unwrap_or(usize::MAX))];
                source
                    .index
                    .longest_match(blocks, &scratch.positions, &mut matches.blocks);
            }
        }
    }

    /// Notes in these indexes where the prompt goes.
    pub(crate) fn store(&self, placed: &Placed<'_>) {
        let query = placed.field.query;
        for source in self.beside.iter().filter(|source| source.learns) {
            let chosen = [placed.primary(), placed.target(PREFILL)];
            for endpoint in chosen.into_iter().flatten() {
                let capacity = source.parameters.capacity(endpoint, query.block_tokens);
                source
                    .index
                    .store(endpoint.id(), capacity, query.full_blocks());
            }
        }
    }
}
