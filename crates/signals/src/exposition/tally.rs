//! Brings the samples of a page together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Scrape;
use super::families::{Across, Family, Meaning};
use super::sample::{Labels, Sample};
use crate::{Engine, LoraState};

/// Ranks that split one model over devices: each reports the same queue.
const SAME_QUEUE: [&[u8]; 4] = [b"tp_rank", b"pp_rank", b"moe_ep_rank", b"pid"];

/// Separate queues of one server (data-parallel ranks, engines) that are told apart; what goes
/// beyond is added up without looking for duplicates.
const QUEUES_MAX: usize = 32;

/// Most adapters read from one row.
const ADAPTERS_MAX: usize = 1024;

/// A number reported by several ranks: the greatest per queue, added up over queues.
#[derive(Clone, Copy, Debug)]
struct Queues {
    queues: [(u64, f64); QUEUES_MAX],
    len: usize,
    beyond: f64,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            queues: [(0, 0.0); QUEUES_MAX],
            len: 0,
            beyond: 0.0,
        }
    }
}

impl Queues {
    fn add(&mut self, queue: u64, value: f64) {
        let known = &mut self.queues[..self.len];
        if let Some(entry) = known.iter_mut().find(|entry| entry.0 == queue) {
            entry.1 = entry.1.max(value);
        } else if self.len < QUEUES_MAX {
            self.queues[self.len] = (queue, value);
            self.len += 1;
        } else {
            self.beyond += value;
        }
    }

    fn total(&self) -> Option<u32> {
        let sum: f64 = self.queues[..self.len].iter().map(|entry| entry.1).sum();
        // The cast saturates.
        (self.len > 0).then_some((sum + self.beyond) as u32)
    }
}

/// What was read under the names of one engine.
#[derive(Debug, Default)]
struct Tally<'t> {
    seen: bool,
    waiting: Queues,
    running: Queues,
    blocks: Queues,
    block_size: Option<u32>,
    kv_usage: Option<f32>,
    kv_usage_legacy: Option<f32>,
    awake: bool,
    asleep: bool,
    lora: Option<(f64, Labels<'t>)>,
}

/// What was read from a page, engine by engine.
#[derive(Debug, Default)]
pub(super) struct Tallies<'t> {
    engines: [Tally<'t>; Engine::KNOWN.len()],
    unreadable: u32,
}

fn place(engine: Engine) -> Option<usize> {
    Engine::KNOWN.into_iter().position(|known| known == engine)
}

impl<'t> Tallies<'t> {
    pub(super) fn note_unreadable(&mut self) {
        self.unreadable += 1;
    }

    pub(super) fn add(&mut self, engine: Engine, families: &[Family], sample: &Sample<'t>) {
        let Some(tally) = place(engine).and_then(|place| self.engines.get_mut(place)) else {
            return;
        };
        for family in families {
            let wanted = family
                .only
                .is_none_or(|(label, value)| sample.labels.get(label) == Some(value));
            if wanted && !tally.add(family, sample) {
                self.unreadable += 1;
            }
        }
    }

    /// The engine to believe: the hint if it was seen, else the first of [`Engine::KNOWN`]. That
    /// order puts an engine before the servers that may wrap it.
    pub(super) fn finish(&self, hint: Option<Engine>) -> Option<Scrape> {
        let order = hint.into_iter().chain(Engine::KNOWN);
        let (engine, tally) = order
            .filter_map(|engine| Some((engine, self.engines.get(place(engine)?)?)))
            .find(|(_, tally)| tally.seen)?;
        Some(Scrape {
            engine,
            unreadable: self.unreadable,
            ..tally.finish()
        })
    }
}

impl<'t> Tally<'t> {
    /// Whether the sample could be read.
    fn add(&mut self, family: &Family, sample: &Sample<'t>) -> bool {
        let Sample { labels, value } = *sample;
        if !value.is_finite() || value < 0.0 {
            return false;
        }
        let queue = match family.across {
            Across::Sum => queue_of(labels),
            Across::Max => 0,
        };
        match family.meaning {
            Meaning::Waiting => self.waiting.add(queue, value),
            Meaning::Running => self.running.add(queue, value),
            Meaning::Blocks => self.blocks.add(queue, value),
            Meaning::KvUsage => raise(&mut self.kv_usage, value.min(1.0) as f32),
            Meaning::KvUsageLegacy => raise(&mut self.kv_usage_legacy, value.min(1.0) as f32),
            Meaning::BlockSize => raise(&mut self.block_size, value as u32),
            Meaning::CacheInfo { block_size, blocks } => {
                // Engines write None for what they have not worked out yet.
                if let Some(size) = labels.count(block_size) {
                    raise(&mut self.block_size, size);
                }
                if let Some(blocks) = labels.count(blocks) {
                    self.blocks.add(rank_of(labels), f64::from(blocks));
                }
            }
            Meaning::Lora => {
                // A row stays for every combination ever seen; its value is when it last held.
                if self.lora.is_none_or(|(newest, _)| value > newest) {
                    self.lora = Some((value, labels));
                }
            }
            Meaning::SleepState if value > 0.0 => match labels.get(b"sleep_state") {
                Some(b"awake") => self.awake = true,
                _ => self.asleep = true,
            },
            Meaning::SleepState => {}
        }
        self.seen = true;
        true
    }

    fn finish(&self) -> Scrape {
        Scrape {
            waiting: self.waiting.total(),
            running: self.running.total(),
            blocks: self.blocks.total(),
            block_size: self.block_size,
            kv_usage: self.kv_usage.or(self.kv_usage_legacy),
            // One engine awake is enough to serve.
            sleeping: (self.awake || self.asleep).then_some(!self.awake),
            lora: self.lora.map(|(_, labels)| LoraState {
                running: names(labels, b"running_lora_adapters"),
                waiting: names(labels, b"waiting_lora_adapters"),
                max: labels.count(b"max_lora").unwrap_or(0),
            }),
            ..Scrape::default()
        }
    }
}

fn raise<T: PartialOrd + Copy>(best: &mut Option<T>, value: T) {
    if best.is_none_or(|best| value > best) {
        *best = Some(value);
    }
}

/// Tells queues apart by all labels but the ranks that share one.
fn queue_of(labels: Labels<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for label in labels.iter().filter(|(name, _)| !SAME_QUEUE.contains(name)) {
        label.hash(&mut hasher);
    }
    hasher.finish()
}

/// Tells data-parallel ranks apart in a family whose other labels are configuration.
fn rank_of(labels: Labels<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (labels.get(b"engine"), labels.get(b"dp_rank")).hash(&mut hasher);
    hasher.finish()
}

fn names(labels: Labels<'_>, label: &[u8]) -> Vec<Arc<str>> {
    let list = labels.text(label).unwrap_or_default();
    let names = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.take(ADAPTERS_MAX).map(Arc::from).collect()
}
