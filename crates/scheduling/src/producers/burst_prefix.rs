//! `burst-prefix-cache-producer`: equal prompts that come in a burst go to one endpoint.
//!
//! The reference holds every request until its window closes and then places the whole batch. Here
//! nothing is held: the first of a group is placed where the window has put least, and those that
//! follow within the window join it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signals::Time;

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Field, Produced, Producer, SourceId};

pub(super) const KIND: Kind =
    Kind::new::<BurstPrefix>("burst-prefix-cache-producer", Roles::PRODUCER).alpha();

/// What is evened out between endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Balance {
    /// Requests.
    #[default]
    Requests,
    /// Tokens of prompts.
    Tokens,
}

/// How long a burst is, and how much of it an endpoint gets.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BurstPrefix {
    /// Milliseconds that belong together, in 1..10000.
    window_duration_ms: i64,
    /// Most requests of a group on one endpoint, 1 or more; -1: any number.
    max_per_replica: i64,
    /// Accepted for compatibility: blocks are those the gateway cuts prompts into.
    block_size_tokens: i64,
    /// Tokens of a prompt that are looked at; 0: all.
    max_prefix_tokens_to_match: i64,
    /// Place prompts that share so many leading blocks together too; 0: only equal ones.
    min_colocate_blocks: i64,
    /// Most requests of a window that are looked at, 1 or more; -1: any number.
    max_batch_size: i64,
    /// What is evened out.
    balance_by: Balance,
}

impl Default for BurstPrefix {
    fn default() -> Self {
        Self {
            window_duration_ms: 100,
            max_per_replica: -1,
            block_size_tokens: 64,
            max_prefix_tokens_to_match: 0,
            min_colocate_blocks: 0,
            max_batch_size: 1000,
            balance_by: Balance::Requests,
        }
    }
}

impl PluginType for BurstPrefix {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let window = self.window_duration_ms;
        let path = "windowDurationMs";
        build.require((1..=10_000).contains(&window), path, window, "in 1..10000");
        for (path, value) in [
            ("maxPerReplica", self.max_per_replica),
            ("maxBatchSize", self.max_batch_size),
        ] {
            build.require(value == -1 || value >= 1, path, value, "-1 or >= 1");
        }
        let block = self.block_size_tokens;
        build.require(block > 0, "blockSizeTokens", block, "> 0");
        let most = self.max_prefix_tokens_to_match;
        let path = "maxPrefixTokensToMatch";
        build.require(
            most == 0 || most >= block,
            path,
            most,
            "0 or >= blockSizeTokens",
        );
        let least = self.min_colocate_blocks;
        build.require(least >= 0, "minColocateBlocks", least, ">= 0");
        let name = build.name().to_owned();
        let burst = Burst {
            source: build.prefix_source(&name),
            parameters: self,
            window: Mutex::default(),
        };
        Instance {
            producer: Some(Arc::new(burst)),
            ..Instance::default()
        }
        .needing(Data::Tokens, "")
        .providing(Data::PrefixMatch)
    }
}

/// A group of equal prompts and where they went.
#[derive(Debug)]
struct Group {
    blocks: Box<[u64]>,
    endpoint: u32,
    requests: i64,
}

#[derive(Debug, Default)]
struct Window {
    began: Time,
    requests: i64,
    groups: Vec<Group>,
    load: HashMap<u32, u64>,
}

#[derive(Debug)]
struct Burst {
    parameters: BurstPrefix,
    source: SourceId,
    window: Mutex<Window>,
}

/// How many leading blocks two chains share. Each hash stands for all before it, so the border is
/// found by bisection.
fn shared(one: &[u64], other: &[u64]) -> usize {
    let length = one.len().min(other.len());
    let indices: Vec<usize> = (0..length).collect();
    indices.partition_point(|&at| one[at] == other[at])
}

impl Burst {
    fn place(&self, window: &mut Window, field: &Field<'_>, kept: &[u32]) -> Option<u32> {
        let parameters = &self.parameters;
        let query = field.query;
        let span = Duration::from_millis(parameters.window_duration_ms.unsigned_abs());
        if field.now.saturating_since(window.began) >= span {
            *window = Window {
                began: field.now,
                ..Window::default()
            };
        }
        if parameters.max_batch_size >= 0 && window.requests >= parameters.max_batch_size {
            return None;
        }
        let most = match parameters.max_prefix_tokens_to_match {
            0 => usize::MAX,
            tokens => (tokens / i64::from(query.block_tokens.max(1))).max(1) as usize,
        };
        let blocks = &query.blocks[..query.blocks.len().min(most)];
        let id = |index: u32| field.endpoints[index as usize].id();
        let here = |endpoint: u32| kept.iter().copied().find(|&index| id(index) == endpoint);
        let room = |group: &Group| {
            parameters.max_per_replica < 0 || group.requests < parameters.max_per_replica
        };
        window.requests += 1;
        let weight = match parameters.balance_by {
            Balance::Requests => 1,
            Balance::Tokens => query.prompt_tokens,
        };
        let equal = window.groups.iter_mut().find(|group| {
            *group.blocks == *blocks && room(group) && here(group.endpoint).is_some()
        });
        if let Some(group) = equal {
            group.requests += 1;
            *window.load.entry(group.endpoint).or_default() += weight;
            return here(group.endpoint);
        }
        let least = usize::try_from(parameters.min_colocate_blocks).unwrap_or(0);
        let total: u64 = window.load.values().sum();
        let fair = (total + weight).div_ceil(kept.len() as u64);
        let load_of =
            |window: &Window, index: u32| window.load.get(&id(index)).copied().unwrap_or(0);
        let related = (least > 0).then(|| {
            let near = window.groups.iter().filter_map(|group| {
                let index = here(group.endpoint)?;
                let length = shared(&group.blocks, blocks);
                let fits = length >= least && load_of(window, index) < fair;
                fits.then_some((length, index))
            });
            near.max_by_key(|(length, _)| *length)
        });
        let chosen = related.flatten().map(|(_, index)| index).or_else(|| {
            kept.iter().copied().min_by_key(|&index| {
                let running = field.state(index).signals.scraped.running;
                (
                    load_of(window, index),
                    running,
                    field.endpoints[index as usize].name(),
                )
            })
        })?;
        *window.load.entry(id(chosen)).or_default() += weight;
        window.groups.push(Group {
            blocks: blocks.into(),
            endpoint: id(chosen),
            requests: 1,
        });
        Some(chosen)
    }
}

impl Producer for Burst {
    fn produce(&self, field: &Field<'_>, kept: &[u32], out: &mut Produced) {
        if field.query.blocks.is_empty() {
            return;
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chosen) = self.place(&mut window, field, kept) {
            let mut matched = vec![0; field.endpoints.len()];
            matched[chosen as usize] = u32::try_from(field.query.blocks.len()).unwrap_or(u32::MAX);
            out.matches = Some((self.source, matched));
        }
    }
}
