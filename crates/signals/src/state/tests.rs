use super::*;
use crate::{Endpoint, EndpointIdentity, Ledger, Load};

fn endpoint() -> Arc<Endpoint> {
    Arc::new(Endpoint::new(
        1,
        EndpointIdentity {
            name: "ns/pod-rank-0".into(),
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

fn scrape() -> Scrape {
    Scrape {
        engine: Engine::Vllm,
        waiting: Some(2),
        running: Some(5),
        kv_usage: Some(0.5),
        block_size: Some(16),
        blocks: Some(1000),
        ..Scrape::default()
    }
}

fn load(tokens: u64) -> Load {
    Load {
        prefill_tokens: tokens,
        prefill_work: tokens,
        total_tokens: tokens,
    }
}

#[test]
fn age_and_freshness() {
    let state = ServingState::default();
    let before = state.view(at(10.0));
    assert_eq!((before.age, before.fresh), (None, false));
    state.apply(&scrape(), at(10.0));
    assert!(state.view(at(12.0)).fresh);
    let late = state.view(at(12.001));
    assert_eq!(
        (late.age, late.fresh),
        (Some(Duration::from_millis(2001)), false)
    );
    assert_eq!(
        late.scraped,
        Gauges {
            waiting: 2,
            running: 5,
            kv_usage: 0.5
        }
    );
    assert_eq!(late.kv_capacity_tokens(), 16_000);
}

#[test]
fn what_a_page_does_not_mention_stays() {
    let state = ServingState::default();
    state.apply(&scrape(), at(1.0));
    let partial = Scrape {
        waiting: Some(9),
        sleeping: Some(true),
        ..Scrape::default()
    };
    state.apply(&partial, at(2.0));
    let view = state.view(at(2.0));
    assert_eq!(
        view.scraped,
        Gauges {
            waiting: 9,
            running: 5,
            kv_usage: 0.5
        }
    );
    assert_eq!(view.engine, Engine::Vllm);
    assert!(view.sleeping);
}

#[test]
fn adapters_are_replaced_and_their_limit_kept() {
    let state = ServingState::default();
    assert!(!state.view(at(0.5)).reports_adapters);
    let row = |running: &str, max| Scrape {
        lora: Some(LoraState {
            running: vec![running.into()],
            waiting: vec![],
            max,
        }),
        ..Scrape::default()
    };
    state.apply(&row("a", 4), at(1.0));
    state.apply(&Scrape::default(), at(2.0));
    assert_eq!(&*state.lora().running[0], "a");
    state.apply(&row("b", 0), at(3.0));
    assert_eq!((&*state.lora().running[0], state.lora().max), ("b", 4));
    assert!(state.view(at(3.0)).reports_adapters);
}

#[test]
fn own_traffic_since_the_scrape_corrects_the_gauges() {
    let endpoint = endpoint();
    let signals = endpoint.signals();
    signals.apply(&scrape(), at(1.0));
    let mut first = Ledger::reserve(&endpoint, load(1_600), at(1.1));
    let second = Ledger::reserve(&endpoint, load(1_600), at(1.2));
    let sent = Gauges {
        waiting: 4,
        running: 5,
        kv_usage: 0.7,
    };
    assert_eq!(signals.view(at(1.2)).corrected, sent);
    first.first_token(at(1.3));
    let started = Gauges {
        waiting: 3,
        running: 6,
        kv_usage: 0.7,
    };
    assert_eq!(signals.view(at(1.3)).corrected, started);
    drop(first);
    assert_eq!(signals.view(at(1.4)).corrected.running, 5);

    // Sent while the scrape was under way: the answer may not hold it yet.
    let mark = signals.mark();
    let third = Ledger::reserve(&endpoint, load(800), at(1.5));
    signals.apply_since(&scrape(), mark, at(1.6));
    let fresh = Gauges {
        waiting: 3,
        running: 5,
        kv_usage: 0.55,
    };
    assert_eq!(signals.view(at(1.6)).corrected, fresh);
    assert_eq!(signals.view(at(1.6)).scraped.waiting, 2);
    drop((second, third));
}

#[test]
fn corrected_counts_stop_at_zero() {
    let endpoint = endpoint();
    let mut old: Vec<_> = (0..5)
        .map(|_| Ledger::reserve(&endpoint, load(1), at(1.0)))
        .collect();
    let idle = Scrape {
        waiting: Some(0),
        running: Some(0),
        ..Scrape::default()
    };
    endpoint.signals().apply(&idle, at(2.0));
    old.iter_mut()
        .for_each(|reservation| reservation.first_token(at(2.5)));
    drop(old);
    let corrected = endpoint.signals().view(at(3.0)).corrected;
    assert_eq!((corrected.waiting, corrected.running), (0, 0));
}
