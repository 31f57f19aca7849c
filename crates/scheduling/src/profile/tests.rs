use std::net::IpAddr;

use signals::{Ledger, Scrape};

use super::*;
use crate::MAX_FALLBACKS;
use crate::testing::{endpoint, endpoints, rng};

fn now() -> Time {
    Time::from_secs_f64(50.0)
}

#[derive(Debug)]
struct Fixed(Vec<f32>);

impl Scorer for Fixed {
    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn score(&self, _: &Field<'_>, kept: &[u32], out: &mut [f32]) {
        for (out, &index) in out.iter_mut().zip(kept) {
            *out = self.0[index as usize];
        }
    }
}

#[derive(Debug)]
struct DropAll;

impl Filter for DropAll {
    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn retain(&self, _: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        kept.clear();
    }
}

fn profile(scorers: &[(&str, f32, &[f32])]) -> Profile {
    let mut profile = Profile::empty("test");
    profile.scorers = scorers
        .iter()
        .map(|(name, weight, scores)| Weighted {
            name: (*name).into(),
            weight: *weight,
            plugin: Arc::new(Fixed(scores.to_vec())),
        })
        .collect();
    profile.seal();
    profile
}

fn schedule(
    profile: &Profile,
    query: &Query<'_>,
    endpoints: &[Arc<Endpoint>],
) -> Result<Decision, ScheduleError> {
    let mut scratch = Scratch::default();
    profile.schedule(
        query,
        endpoints,
        &PrefixIndex::default(),
        &mut scratch,
        now(),
        &mut rng(1),
    )
}

fn ids(decision: &Decision) -> Vec<u32> {
    decision
        .ranked
        .iter()
        .map(|choice| choice.endpoint.id())
        .collect()
}

#[test]
fn scores_are_clamped_weighted_and_added() {
    let a: &[f32] = &[0.5, 7.0, -3.0, f32::NAN];
    let b: &[f32] = &[0.0, 0.25, 1.0, 1.0];
    let profile = profile(&[("a", 2.0, a), ("b", -1.0, b)]);
    let decision = schedule(&profile, &Query::default(), &endpoints(4)).unwrap();
    let totals: Vec<f32> = decision.ranked.iter().map(|choice| choice.total).collect();
    assert_eq!(totals, [1.75, 1.0, -1.0, -1.0]);
    assert_eq!(ids(&decision)[..2], [1, 0]);
    assert_eq!(decision.candidates[0].scores.as_slice(), [2.0, -0.25]);
    assert_eq!(&*decision.candidates[1].endpoint, "pod-0");
    let names: Vec<_> = decision.scorer_names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn the_ranking_is_bounded_and_never_empty() {
    let none: &[f32] = &[0.0; 40];
    let decision = schedule(
        &profile(&[("a", 1.0, none)]),
        &Query::default(),
        &endpoints(40),
    )
    .unwrap();
    assert_eq!(
        (decision.ranked.len(), decision.candidates.len()),
        (MAX_FALLBACKS, MAX_FALLBACKS)
    );
    let alone = schedule(&profile(&[]), &Query::default(), &endpoints(1)).unwrap();
    assert_eq!(ids(&alone), [0]);
}

#[test]
fn nothing_to_choose_from() {
    let error = |query: &Query<'_>, list: &[_]| {
        schedule(&Profile::default_profile(), query, list).unwrap_err()
    };
    let none = Query::default();
    assert_eq!(
        error(&none, &[]),
        ScheduleError::NoEndpoints { considered: 0 }
    );
    let confined = Query {
        subset: Some(&[]),
        ..Query::default()
    };
    assert_eq!(
        error(&confined, &endpoints(3)),
        ScheduleError::NoEndpoints { considered: 3 }
    );
    let mut strict = profile(&[]);
    strict.filters.push(Named {
        name: "strict".into(),
        plugin: Arc::new(DropAll),
    });
    strict.seal();
    let error = schedule(&strict, &none, &endpoints(3)).unwrap_err();
    assert_eq!(
        error,
        ScheduleError::FilteredOut {
            filter: "strict".into(),
            before: 3
        }
    );
    assert_eq!(
        error.to_string(),
        "no endpoints available for the given request: filter strict left none of 3"
    );
}

#[test]
fn subset_and_funnel() {
    let list = endpoints(5);
    let mut allowed: Vec<(IpAddr, Option<u16>)> = [1, 3, 4]
        .map(|id: usize| (list[id].address().ip(), None))
        .to_vec();
    allowed[1].1 = Some(8000);
    allowed.push((list[2].address().ip(), Some(8001)));
    let query = Query {
        subset: Some(&allowed),
        ..Query::default()
    };
    list[3].health().set_draining(true);
    let decision = schedule(&Profile::default_profile(), &query, &list).unwrap();
    let mut chosen = ids(&decision);
    chosen.sort_unstable();
    assert_eq!(chosen, [1, 4]);
    let funnel = Funnel {
        considered: 5,
        in_subset: 3,
        after_filter: [2].into_iter().collect(),
    };
    assert_eq!(decision.funnel, funnel);
    assert_eq!(&*decision.filter_names[0], "health-filter");
}

#[test]
fn what_is_known_reaches_the_decision() {
    let list = endpoints(2);
    let scrape = Scrape {
        waiting: Some(3),
        running: Some(9),
        kv_usage: Some(0.25),
        ..Scrape::default()
    };
    list[0].signals().apply(&scrape, Time::from_secs_f64(49.5));
    let load = Load {
        prefill_tokens: 700,
        prefill_work: 700,
        total_tokens: 900,
    };
    let reservation = Ledger::reserve(&list[0], load, now());
    let index = PrefixIndex::default();
    let blocks = [11, 22, 33, 44];
    index.store(0, 100, &blocks[..3]);
    let query = Query {
        blocks: &blocks,
        block_tokens: 64,
        prompt_tokens: 250,
        max_tokens: Some(40),
        ..Query::default()
    };
    let profile = Profile::round_robin_profile();
    let mut scratch = Scratch::default();
    let decision = profile
        .schedule(&query, &list, &index, &mut scratch, now(), &mut rng(1))
        .unwrap();
    let (choice, candidate) = (&decision.ranked[0], &decision.candidates[0]);
    assert_eq!((choice.matched_blocks, choice.uncached_tokens), (3, 58));
    assert_eq!(choice.load, Load::estimate(58, 192, 40));
    assert_eq!(
        (candidate.waiting, candidate.running, candidate.kv),
        (3, 9, 0.25)
    );
    assert_eq!(
        (candidate.inflight_tokens, candidate.signal_age_ms),
        (700, Some(500))
    );
    assert_eq!(decision.candidates[1].signal_age_ms, None);
    assert_eq!(decision.ranked[1].uncached_tokens, 250);
    drop(reservation);
}

#[test]
fn cached_tokens_never_exceed_the_prompt() {
    let list = [endpoint(0)];
    let index = PrefixIndex::default();
    let blocks = [1, 2, 3];
    index.store(0, 100, &blocks);
    // An estimate of the tokens may be below what the blocks hold.
    for (prompt_tokens, want) in [(100, 1), (192, 1), (193, 1), (200, 8), (0, 0)] {
        let query = Query {
            blocks: &blocks,
            block_tokens: 64,
            prompt_tokens,
            ..Query::default()
        };
        let decision = Profile::default_profile()
            .schedule(
                &query,
                &list,
                &index,
                &mut Scratch::default(),
                now(),
                &mut rng(1),
            )
            .unwrap();
        assert_eq!(decision.ranked[0].uncached_tokens, want, "{prompt_tokens}");
    }
    let query = Query {
        blocks: &blocks,
        block_tokens: 64,
        prompt_tokens: 130,
        ..Query::default()
    };
    assert_eq!(query.full_blocks(), [1, 2]);
}

#[test]
fn one_scratch_serves_pools_of_any_size() {
    let profile = Profile::default_profile();
    let (index, mut scratch) = (PrefixIndex::default(), Scratch::default());
    let blocks = [5, 6, 7];
    index.store(2, 100, &blocks);
    let query = Query {
        blocks: &blocks,
        block_tokens: 64,
        prompt_tokens: 192,
        ..Query::default()
    };
    let mut run = |list: &[Arc<Endpoint>]| {
        let decision = profile
            .schedule(&query, list, &index, &mut scratch, now(), &mut rng(1))
            .unwrap();
        (
            decision.ranked[0].endpoint.id(),
            decision.ranked[0].matched_blocks,
        )
    };
    let list = endpoints(30);
    assert_eq!(run(&list), (2, 3));
    assert_eq!(run(&list[2..4]), (2, 3));
    assert_eq!(run(&list[..2]).1, 0);
    assert_eq!(run(&list[1..]), (2, 3));
}

#[test]
fn the_same_draws_give_the_same_decision() {
    let mut profile = profile(&[]);
    profile.picker = crate::Registry::standard()
        .instance("weighted-random-picker", &serde_json::Value::Null)
        .unwrap()
        .picker
        .unwrap();
    let list = endpoints(20);
    let first = ids(&schedule(&profile, &Query::default(), &list).unwrap());
    assert_eq!(
        first,
        ids(&schedule(&profile, &Query::default(), &list).unwrap())
    );
}
