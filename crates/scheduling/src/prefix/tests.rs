use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use signals::{Scrape, Time};

use super::lru::Ends;
use super::tree::NIL;
use super::*;
use crate::testing::{endpoint, endpoints};

/// The chained hashes of a prompt whose blocks are single letters.
fn chain(prompt: &[u8]) -> Vec<u64> {
    let mut hash = 0u64;
    let blocks = prompt.iter().map(|&letter| {
        hash = (hash ^ u64::from(letter) ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
        hash
    });
    blocks.collect()
}

fn matches(index: &PrefixIndex, endpoints: &[Arc<Endpoint>], blocks: &[u64]) -> Vec<u32> {
    let mut positions = Positions::default();
    positions.set(endpoints);
    let mut out = vec![0; endpoints.len()];
    index.longest_match(blocks, &positions, &mut out);
    out
}

/// The same thing without a thought for cost: per endpoint, each beginning it holds and when that
/// was last used.
#[derive(Default)]
struct Naive {
    holds: BTreeMap<u32, BTreeMap<Vec<u8>, u64>>,
    capacity: BTreeMap<u32, usize>,
    clock: u64,
}

impl Naive {
    fn store(&mut self, endpoint: u32, capacity: usize, prompt: &[u8]) {
        self.capacity.insert(endpoint, capacity);
        let prompt = &prompt[..prompt.len().min(capacity)];
        if prompt.is_empty() {
            return;
        }
        self.clock += 1;
        let holds = self.holds.entry(endpoint).or_default();
        for length in 1..=prompt.len() {
            holds.insert(prompt[..length].to_vec(), self.clock);
        }
        while holds.len() > capacity {
            let victim = holds
                .iter()
                .min_by_key(|(key, used)| (**used, usize::MAX - key.len()));
            let victim = victim.unwrap().0.clone();
            holds.remove(&victim);
        }
    }

    fn matched(&self, endpoint: u32, prompt: &[u8]) -> usize {
        let Some(holds) = self.holds.get(&endpoint) else {
            return 0;
        };
        (1..=prompt.len())
            .take_while(|&length| holds.contains_key(&prompt[..length]))
            .count()
    }

    fn forget_after(&mut self, endpoint: u32, prompt: &[u8], keep: usize) {
        if let (Some(wrong), Some(holds)) = (prompt.get(..=keep), self.holds.get_mut(&endpoint)) {
            holds.retain(|key, _| !key.starts_with(wrong));
        }
    }

    fn correct(&mut self, endpoint: u32, prompt: &[u8], actual: usize) {
        let actual = &prompt[..actual.min(prompt.len())];
        if self.matched(endpoint, actual) < actual.len() {
            let capacity = self.capacity.get(&endpoint).copied().unwrap_or(0);
            self.store(endpoint, capacity, actual);
        }
    }

    fn pairs(&self) -> usize {
        self.holds.values().map(BTreeMap::len).sum()
    }
}

/// Checks the invariants that `tree.rs` names.
fn check(index: &PrefixIndex) {
    for shard in 0..SHARDS {
        let tree = index.read(shard);
        let (mut pairs, mut blocks, mut holdings) = (0, 0, 0);
        let mut in_lists: BTreeMap<u32, usize> = BTreeMap::new();
        for node in tree.nodes.iter().filter(|node| !node.run.is_empty()) {
            let longest = node
                .holdings
                .iter()
                .map(|holding| holding.covered)
                .max()
                .unwrap();
            assert_eq!(
                longest as usize,
                node.run.len(),
                "a run is as long as its longest holding"
            );
            assert!(node.holdings.is_sorted_by_key(|holding| holding.endpoint));
            blocks += node.run.len();
            for holding in &node.holdings {
                assert!(holding.covered > 0);
                if node.parent != NIL {
                    let parent = &tree.nodes[node.parent as usize];
                    let covered = parent.covered_by(holding.endpoint) as usize;
                    assert_eq!(covered, parent.run.len(), "prefix-closed");
                }
                pairs += holding.covered as usize;
                holdings += 1;
                *in_lists.entry(holding.endpoint).or_default() += 1;
            }
        }
        assert_eq!(
            (pairs, blocks, holdings),
            (tree.pairs, tree.blocks, tree.holdings)
        );
        assert_eq!(tree.ends.len(), in_lists.len());
        for (&endpoint, &Ends { newest, oldest }) in &tree.ends {
            let (mut at, mut last, mut seen) = (newest, NIL, 0);
            let mut used_at = u64::MAX;
            while at != NIL {
                let node = &tree.nodes[at as usize];
                let holding = node.holdings[node.place_of(endpoint).unwrap()];
                assert_eq!(holding.newer, last);
                assert!(holding.used_at <= used_at, "newest first");
                (used_at, last, at) = (holding.used_at, at, holding.older);
                seen += 1;
            }
            assert_eq!((last, seen), (oldest, in_lists[&endpoint]));
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Store(u32, usize, Vec<u8>),
    Match(Vec<u8>),
    Correct(u32, Vec<u8>, usize),
    ForgetAfter(u32, Vec<u8>, usize),
    Remove(u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // Few letters and short prompts, so that they share beginnings all the time.
    let prompt = || vec(0..3u8, 0..12);
    let act = prop_oneof![
        6 => (0..4u32, 0..25usize, prompt()).prop_map(|(e, cap, p)| Act::Store(e, cap, p)),
        3 => prompt().prop_map(Act::Match),
        1 => (0..4u32, prompt(), 0..13usize).prop_map(|(e, p, n)| Act::Correct(e, p, n)),
        2 => (0..4u32, prompt(), 0..13usize).prop_map(|(e, p, n)| Act::ForgetAfter(e, p, n)),
        1 => (0..4u32).prop_map(Act::Remove),
    ];
    vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn behaves_as_the_naive_model(acts in acts(), seed: u64) {
        let index = PrefixIndex::new(seed);
        let mut naive = Naive::default();
        let all = endpoints(4);
        for act in acts {
            match act {
                Act::Store(endpoint, capacity, prompt) => {
                    index.store(endpoint, capacity as u32, &chain(&prompt));
                    naive.store(endpoint, capacity, &prompt);
                }
                Act::Match(prompt) => {
                    let want: Vec<u32> =
                        (0..4).map(|endpoint| naive.matched(endpoint, &prompt) as u32).collect();
                    prop_assert_eq!(matches(&index, &all, &chain(&prompt)), want);
                }
                Act::Correct(endpoint, prompt, actual) => {
                    index.correct(endpoint, &chain(&prompt), actual as u32);
                    naive.correct(endpoint, &prompt, actual);
                }
                Act::ForgetAfter(endpoint, prompt, keep) => {
                    index.forget_after(endpoint, &chain(&prompt), keep as u32);
                    naive.forget_after(endpoint, &prompt, keep);
                }
                Act::Remove(endpoint) => {
                    index.remove_endpoint(endpoint);
                    naive.holds.remove(&endpoint);
                    naive.capacity.remove(&endpoint);
                }
            }
            check(&index);
            prop_assert_eq!(index.len(), naive.pairs());
        }
    }
}

#[test]
fn matches_are_per_endpoint_and_in_the_order_of_the_list() {
    let index = PrefixIndex::new(1);
    index.store(5, 100, &chain(b"abcdef"));
    index.store(9, 100, &chain(b"abc"));
    index.store(7, 100, &chain(b"abxyz"));
    let list = [endpoint(9), endpoint(3), endpoint(7), endpoint(5)];
    assert_eq!(matches(&index, &list, &chain(b"abcdefgh")), [3, 0, 2, 6]);
    assert_eq!(matches(&index, &list, &chain(b"abxyz")), [2, 0, 5, 2]);
    assert_eq!(matches(&index, &list, &chain(b"b")), [0; 4]);
    assert_eq!(matches(&index, &list, &[]), [0; 4]);
    assert_eq!(index.len(), 14);
}

#[test]
fn recency_is_compared_over_shards() {
    // Sixty-four prompts without a common beginning fall into many shards.
    let index = PrefixIndex::new(3);
    let prompt = |number: u8| chain(&[number, 1, 2, 3]);
    for number in 0..64 {
        index.store(0, 128, &prompt(number));
    }
    index.store(0, 128, &prompt(32));
    for number in 64..94 {
        index.store(0, 128, &prompt(number));
    }
    assert_eq!(index.len(), 128);
    let one = endpoints(1);
    let held = |number| matches(&index, &one, &prompt(number))[0];
    assert_eq!(held(32), 4, "used again, so kept");
    assert_eq!((held(0), held(63), held(33)), (0, 4, 0));
    check(&index);
}

#[test]
fn a_prompt_longer_than_the_capacity_keeps_its_beginning() {
    let index = PrefixIndex::new(1);
    let prompt = chain(&[7; 50]);
    index.store(0, 20, &prompt);
    assert_eq!(matches(&index, &endpoints(1), &prompt), [20]);
    index.store(0, 0, &prompt);
    assert_eq!(index.len(), 20);
}

#[test]
fn hashes_that_mean_two_things_do_no_harm() {
    let index = PrefixIndex::new(1);
    index.store(0, 100, &[1, 2, 3]);
    index.store(0, 100, &[4, 1, 2]);
    index.store(1, 100, &[5, 5, 5]);
    index.store(1, 100, &[5, 5, 1]);
    check(&index);
    index.remove_endpoint(0);
    index.remove_endpoint(1);
    assert!(index.is_empty());
}

#[test]
fn late_stores_for_removed_endpoints_are_swept() {
    let index = PrefixIndex::new(1);
    index.store(1, 100, &chain(b"abc"));
    index.store(2, 100, &chain(b"abd"));
    index.remove_endpoint(1);
    index.store(1, 100, &chain(b"abc"));
    index.retain_endpoints(|endpoint| endpoint == 2);
    assert_eq!(
        matches(&index, &[endpoint(1), endpoint(2)], &chain(b"abd")),
        [0, 3]
    );
    assert_eq!(index.len(), 3);
}

#[test]
fn capacity_follows_the_scraped_cache() {
    let endpoint = endpoint(1);
    assert_eq!(PrefixIndex::capacity_blocks(&endpoint, 64), 6_250);
    let scrape = Scrape {
        block_size: Some(16),
        blocks: Some(27_440),
        ..Scrape::default()
    };
    endpoint.signals().apply(&scrape, Time::from_secs_f64(1.0));
    assert_eq!(PrefixIndex::capacity_blocks(&endpoint, 64), 6_860);
    assert_eq!(PrefixIndex::capacity_blocks(&endpoint, 0), 439_040);
}

#[test]
fn threads_keep_it_whole() {
    let index = PrefixIndex::new(11);
    let all = endpoints(3);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (index, all) = (&index, &all);
            scope.spawn(move || {
                for turn in 0..600u32 {
                    let letter = |shift: u32| (turn.wrapping_mul(2_654_435_761) >> shift) as u8 % 3;
                    let prompt = chain(&[letter(3), letter(7), letter(11), thread, letter(19), 9]);
                    index.store(turn % 3, 40, &prompt);
                    for matched in matches(index, all, &prompt) {
                        assert!(matched <= 6);
                    }
                    if turn % 50 == 0 {
                        index.forget_after(turn % 3, &prompt, 2);
                    }
                    if turn % 200 == 0 {
                        index.remove_endpoint(1);
                    }
                }
            });
        }
    });
    check(&index);
    for endpoint in 0..3 {
        let held: usize = (0..SHARDS)
            .map(|shard| {
                let tree = index.read(shard);
                let live = tree.nodes.iter().filter(|node| !node.run.is_empty());
                live.map(|node| node.covered_by(endpoint) as usize)
                    .sum::<usize>()
            })
            .sum();
        assert!(endpoint == 1 || held <= 40, "{endpoint} holds {held}");
    }
    index.retain_endpoints(|_| false);
    assert_eq!((index.len(), index.read(0).blocks), (0, 0));
}

/// A server whose real cache is another than it says: least recently used conversations go.
struct RealCache {
    blocks: usize,
    /// Conversation and its length, newest last.
    held: Vec<(u64, usize)>,
}

impl RealCache {
    /// Serves a prompt and returns how many of its blocks were there.
    fn serve(&mut self, conversation: u64, length: usize) -> usize {
        let place = self.held.iter().position(|held| held.0 == conversation);
        let had = place
            .map_or(0, |place| self.held.remove(place).1)
            .min(length);
        self.held.push((conversation, length));
        while self.held.iter().map(|held| held.1).sum::<usize>() > self.blocks {
            self.held.remove(0);
        }
        had
    }
}

/// Mean error of the predicted share of hits over the second half of a run.
fn prediction_error(real_blocks: usize, told_blocks: u32, learns: bool) -> f64 {
    let index = PrefixIndex::new(1);
    let all = endpoints(1);
    let mut real = RealCache {
        blocks: real_blocks,
        held: Vec::new(),
    };
    let (mut error, mut asked, mut draw) = (0i64, 0, 1u64);
    for turn in 0..4_000 {
        draw = draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Some conversations are asked for more often than others.
        let spread = ((draw >> 33) % 60) * ((draw >> 45) % 60) / 30;
        let prompt: Vec<u64> = (1..=20).map(|block| (spread + 1) << 32 | block).collect();
        let predicted = matches(&index, &all, &prompt)[0];
        let had = real.serve(spread, 20);
        index.store(0, told_blocks, &prompt);
        if turn >= 2_000 {
            error += i64::from(predicted) - had as i64;
            asked += 20;
        }
        if learns {
            let report = HitReport {
                predicted_blocks: predicted,
                total_blocks: 20,
                cached_tokens: had as u64 * 70,
                prompt_tokens: 20 * 70,
            };
            index.learn(0, &report);
        }
    }
    error as f64 / f64::from(asked)
}

#[test]
fn capacity_is_learned_from_real_hits() {
    for (real, told) in [(400, 400u32), (400, 1_000), (600, 450)] {
        let learned = prediction_error(real, told, true);
        let blind = prediction_error(real, told, false);
        assert!(
            learned.abs() < 0.03,
            "{real} {told}: {learned}, without learning {blind}"
        );
        if told as usize > real {
            assert!(blind > 0.1, "{real} {told}: {blind}");
        }
    }
}

#[test]
fn a_restarted_server_is_noticed() {
    let index = PrefixIndex::new(1);
    let all = endpoints(1);
    for conversation in 0..20u8 {
        index.store(0, 1_000, &chain(&[conversation, 1, 2, 3, 4, 5]));
    }
    let lost = |cached_tokens| HitReport {
        predicted_blocks: 6,
        total_blocks: 6,
        cached_tokens,
        prompt_tokens: 384,
    };
    for cached in [0, 0, 0, 384, 0, 0, 0] {
        index.learn(0, &lost(cached));
    }
    assert_eq!(index.len(), 120, "a miss now and then is no restart");
    index.learn(0, &lost(0));
    assert!(index.is_empty());
    assert_eq!(matches(&index, &all, &chain(&[1, 1, 2])), [0]);
}
