use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::EndpointIdentity;

fn endpoint() -> Arc<Endpoint> {
    Arc::new(Endpoint::new(
        7,
        EndpointIdentity {
            name: "pod".into(),
            address: ([127, 0, 0, 1], 8000).into(),
            host: "127.0.0.1".into(),
            https: false,
            labels: Arc::default(),
            rank: 0,
        },
    ))
}

fn at(secs: f64) -> Time {
    Time::from_secs_f64(secs)
}

fn sums(view: LedgerView) -> [u64; 5] {
    [
        view.requests,
        view.before_first_token,
        view.prefill_tokens,
        view.prefill_work,
        view.total_tokens,
    ]
}

#[test]
fn a_reservation_gives_back_in_two_steps() {
    let endpoint = endpoint();
    let load = Load {
        prefill_tokens: 100,
        prefill_work: 120,
        total_tokens: 300,
    };
    let mut reservation = Ledger::reserve(&endpoint, load, at(1.0));
    assert_eq!(sums(endpoint.ledger().view()), [1, 1, 100, 120, 300]);
    assert_eq!(endpoint.ledger().view().decoding(), 0);
    reservation.first_token(at(2.0));
    reservation.first_token(at(3.0));
    assert_eq!(sums(endpoint.ledger().view()), [1, 0, 0, 0, 300]);
    assert_eq!(endpoint.ledger().view().decoding(), 1);
    drop(reservation);
    assert_eq!(sums(endpoint.ledger().view()), [0; 5]);
}

#[test]
fn estimated_work_grows_with_context() {
    assert_eq!(
        Load::estimate(0, 500, 0),
        Load {
            total_tokens: 500,
            ..Load::default()
        }
    );
    let cold = Load::estimate(1_000, 0, 50);
    assert_eq!((cold.prefill_tokens, cold.total_tokens), (1_000, 1_050));
    assert_eq!(cold.prefill_work, 1_015);
    let deep = Load::estimate(1_000, 100_000, 50);
    assert_eq!(deep.prefill_work, 4_015);
    assert_eq!(
        Load::estimate(u64::MAX, u64::MAX, u64::MAX).total_tokens,
        u64::MAX
    );
}

#[test]
fn absurd_amounts_do_not_overflow() {
    let endpoint = endpoint();
    let absurd = Load::estimate(u64::MAX, u64::MAX, u64::MAX);
    let guards = [(); 3].map(|()| Ledger::reserve(&endpoint, absurd, at(1.0)));
    assert_eq!(endpoint.ledger().view().total_tokens, 3 * BOOKED_MAX);
    drop(guards);
    assert_eq!(sums(endpoint.ledger().view()), [0; 5]);
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u64, u64),
    FirstToken(usize),
    PrefillDone(usize),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..50_000u64, 0..90_000u64).prop_map(|(prefill, total)| Step::Reserve(prefill, total)),
        2 => (0..9usize).prop_map(Step::FirstToken),
        1 => (0..9usize).prop_map(Step::PrefillDone),
        2 => (0..9usize).prop_map(Step::Drop),
    ];
    vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// After every step each sum is exactly that over the live guards (so never below zero), and
    /// at the end it is zero.
    #[test]
    fn sums_are_those_of_the_live_guards(steps in steps()) {
        let endpoint = endpoint();
        let mut live: Vec<(Reservation, bool)> = Vec::new();
        for (tick, step) in steps.into_iter().enumerate() {
            let now = at(tick as f64);
            match step {
                Step::Reserve(prefill, total) => {
                    let load = Load::estimate(prefill, 0, total);
                    live.push((Ledger::reserve(&endpoint, load, now), true));
                }
                Step::FirstToken(at) => if let Some((guard, prefilling)) = live.get_mut(at) {
                    guard.first_token(now);
                    *prefilling = false;
                },
                Step::PrefillDone(at) => if let Some((guard, prefilling)) = live.get_mut(at) {
                    guard.prefill_done();
                    *prefilling = false;
                },
                Step::Drop(at) => if at < live.len() {
                    live.remove(at);
                },
            }
            let mut want = [0; 5];
            for (guard, prefilling) in &live {
                want[0] += 1;
                want[4] += guard.load().total_tokens;
                if *prefilling {
                    want[1] += 1;
                    want[2] += guard.load().prefill_tokens;
                    want[3] += guard.load().prefill_work;
                }
            }
            prop_assert_eq!(sums(endpoint.ledger().view()), want);
        }
        drop(live);
        prop_assert_eq!(sums(endpoint.ledger().view()), [0; 5]);
    }
}

#[test]
fn threads_leave_nothing_behind() {
    let endpoint = endpoint();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let endpoint = &endpoint;
            scope.spawn(move || {
                for turn in 0..2_000u64 {
                    let load = Load::estimate(thread * 100 + turn, 0, turn);
                    let mut guard = Ledger::reserve(endpoint, load, Time(turn));
                    if turn % 3 == 0 {
                        guard.first_token(Time(turn + 1));
                    }
                    assert!(endpoint.ledger().view().requests <= 4);
                }
            });
        }
    });
    assert_eq!(sums(endpoint.ledger().view()), [0; 5]);
    let unwound = std::panic::catch_unwind({
        let endpoint = Arc::clone(&endpoint);
        move || {
            let _guard = Ledger::reserve(&endpoint, Load::estimate(5, 0, 0), at(1.0));
            panic!("a plugin failed");
        }
    });
    assert!(unwound.is_err());
    assert_eq!(sums(endpoint.ledger().view()), [0; 5]);
}

/// A server that prefills one request after another at a given pace.
fn serve(endpoint: &Arc<Endpoint>, per_request: f64, per_work: f64, sizes: &[u64]) -> PrefillPace {
    let mut now = at(100.0);
    for pair in sizes.chunks(2) {
        // Two at a time, so that the second waits for the first.
        let mut guards: Vec<_> = pair
            .iter()
            .map(|&work| {
                let load = Load {
                    prefill_tokens: work,
                    prefill_work: work,
                    total_tokens: work,
                };
                Ledger::reserve(endpoint, load, now)
            })
            .collect();
        for guard in &mut guards {
            let taken = per_request + per_work * guard.load().prefill_work as f64;
            now = now + Duration::from_secs_f64(taken);
            guard.first_token(now);
        }
        now = now + Duration::from_secs(5);
    }
    endpoint.ledger().view().pace
}

#[test]
fn pace_is_learned_within_a_tenth() {
    let sizes: Vec<u64> = (0..60).map(|turn| 200 + (turn * 7_919) % 12_000).collect();
    for (per_request, per_work) in [(0.005, 2e-5), (0.02, 1.5e-4), (0.05, 1e-5)] {
        let pace = serve(&endpoint(), per_request, per_work, &sizes);
        let near = |got: f32, want: f64| (f64::from(got) / want - 1.0).abs() < 0.1;
        assert!(near(pace.per_work_secs, per_work), "{pace:?} {per_work}");
        assert!(
            near(pace.seconds(1.0, 5_000.0), per_request + per_work * 5_000.0),
            "{pace:?}"
        );
        assert_eq!(pace.samples, 60);
    }
}

#[test]
fn pace_stays_sane_with_uniform_or_absurd_samples() {
    let pace = serve(&endpoint(), 0.5, 0.0, &[100; 80]);
    assert!(
        pace.per_request_secs >= 0.0 && pace.per_work_secs > 0.0,
        "{pace:?}"
    );
    assert!((0.3..0.7).contains(&pace.seconds(1.0, 100.0)), "{pace:?}");
    // Big requests that cost less than small ones.
    let endpoint = endpoint();
    for (work, secs) in [(10u64, 3.0), (50_000, 0.1)].repeat(30) {
        let load = Load {
            prefill_tokens: work,
            prefill_work: work,
            total_tokens: work,
        };
        let mut guard = Ledger::reserve(&endpoint, load, at(1.0));
        guard.first_token(at(1.0 + secs));
    }
    let pace = endpoint.ledger().view().pace;
    assert!(
        pace.per_request_secs >= 0.0 && pace.per_work_secs > 0.0,
        "{pace:?}"
    );
}
