//! NVIDIA Dynamo's KV router.

use std::collections::HashMap;

use rand::rngs::SmallRng;

use super::{Ask, Policy, Progress, Seen, least};

/// `scale · (prefill blocks in flight and of this request − overlap) + active blocks`, where the
/// last term counts the distinct prompt blocks of all requests in flight and of this one. Least
/// cost, temperature 0.
pub(super) struct Dynamo {
    scale: f64,
    /// Per server: block → requests in flight that use it.
    active: Vec<HashMap<u64, u32>>,
}

impl Dynamo {
    pub(super) fn new(scale: f64) -> Self {
        Self {
            scale,
            active: Vec::new(),
        }
    }

    fn of(&mut self, node: usize) -> &mut HashMap<u64, u32> {
        if self.active.len() <= node {
            self.active.resize_with(node + 1, HashMap::new);
        }
        &mut self.active[node]
    }
}

impl Policy for Dynamo {
    fn pick(&mut self, ask: &Ask<'_>, seen: &[Seen], rng: &mut SmallRng) -> usize {
        let block = f64::from(ask.block_tokens);
        let scale = self.scale;
        least(seen, rng, |seen| {
            let asked = seen.prefill_tokens as f64 + f64::from(ask.job.input_tokens);
            let prefill = (asked / block - f64::from(seen.matched_blocks)).max(0.0);
            let active = self.of(seen.node);
            let shared = ask
                .blocks
                .iter()
                .filter(|hash| active.contains_key(hash))
                .count();
            let potential = active.len() + ask.blocks.len() - shared;
            scale * prefill + potential as f64
        })
    }

    fn note(&mut self, ask: &Ask<'_>, seen: &Seen, progress: Progress) {
        let active = self.of(seen.node);
        match progress {
            Progress::Sent => {
                for hash in ask.blocks {
                    *active.entry(*hash).or_default() += 1;
                }
            }
            Progress::FirstToken => {}
            Progress::Ended => {
                for hash in ask.blocks {
                    let users = active.get_mut(hash);
                    let Some(users) = users else { continue };
                    *users -= 1;
                    if *users == 0 {
                        active.remove(hash);
                    }
                }
            }
        }
    }
}
