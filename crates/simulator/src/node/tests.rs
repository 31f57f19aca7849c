use super::*;
use crate::{FinishReason, PerfRow};

const SECOND: Nanos = 1_000_000_000;

fn node() -> Node {
    let row = PerfRow::named("h100_sxm/llama-3.1-8b/tp1/bfloat16").expect("shipped");
    let mut config = EngineConfig::new(row.clone(), 16);
    config.cache_changes = true;
    config.fast_forward = true;
    Node::new(config, 7)
}

fn request(stream: u64, output: u32) -> Submission {
    Submission {
        prompt_tokens: 160,
        output_tokens: output,
        blocks: (0..10).map(|at| stream << 32 | at).collect(),
        ..Submission::default()
    }
}

/// Runs to the end; returns the summaries in order.
fn drain(node: &mut Node, mut events: Vec<Event>) -> Vec<Summary> {
    while let Some(due) = node.next_event() {
        node.advance(due, &mut events);
    }
    let ended = events.into_iter().filter_map(|event| match event {
        Event::Finished { summary, .. } => Some(summary),
        _ => None,
    });
    ended.collect()
}

#[test]
fn a_crash_loses_requests_and_cache_and_refuses_until_it_is_up() {
    let mut node = node();
    node.submit(0, request(1, 4)).expect("taken");
    drain(&mut node, Vec::new());
    node.submit(SECOND, request(2, 4000)).expect("taken");
    let mut events = Vec::new();
    node.advance(2 * SECOND, &mut events);
    node.inject(2 * SECOND, Fault::Crash { down: SECOND }, &mut events);
    let ended = drain(&mut node, events);
    assert_eq!(ended[0].reason, FinishReason::Lost);
    assert!(ended[0].output_tokens > 10, "what it had emitted is told");
    assert_eq!(node.engine().cached_blocks(), 0);
    assert_eq!(node.submit(2 * SECOND, request(1, 1)), Err(Rejection::Down));
    assert_eq!(node.scrape(2 * SECOND), None);
    node.submit(3 * SECOND, request(1, 1)).expect("up again");
    assert_eq!(drain(&mut node, Vec::new())[0].cached_tokens, 0);
}

#[test]
fn a_hang_moves_everything_back_by_its_length() {
    let times = [None, Some(5 * SECOND)].map(|lasts| {
        let mut node = node();
        node.submit(0, request(1, 50)).expect("taken");
        let mut events = Vec::new();
        node.advance(SECOND / 10, &mut events);
        if let Some(lasts) = lasts {
            node.inject(SECOND / 10, Fault::Hang { lasts }, &mut events);
        }
        drain(&mut node, events)[0].finished
    });
    assert_eq!(times[1], times[0] + 5 * SECOND);
}

#[test]
fn a_hang_holds_back_an_idle_engine() {
    let mut node = node();
    node.inject(0, Fault::Hang { lasts: SECOND }, &mut Vec::new());
    node.submit(10, request(1, 1)).expect("taken");
    assert_eq!(drain(&mut node, Vec::new())[0].scheduled, Some(SECOND));
}

#[test]
fn slowness_ends_by_itself() {
    let mut node = node();
    let slow = Fault::Slow {
        factor: 3.0,
        lasts: SECOND,
    };
    let ttft = |node: &mut Node, at, stream| {
        node.submit(at, request(stream, 1)).expect("taken");
        drain(node, Vec::new())[0].first_token.expect("emitted") - at
    };
    let usual = ttft(&mut node, 0, 1);
    node.inject(SECOND, slow, &mut Vec::new());
    let during = ttft(&mut node, SECOND + 1, 2);
    let after = ttft(&mut node, 3 * SECOND, 3);
    assert!(during.abs_diff(3 * usual) <= 1, "{during} {usual}");
    assert_eq!(after, usual);
}

#[test]
fn errors_and_lost_changes_keep_to_their_share_and_their_time() {
    let mut node = node();
    let lasts = SECOND;
    let faults = [
        Fault::Errors { share: 0.3, lasts },
        Fault::LostCacheChanges { share: 0.3, lasts },
    ];
    for fault in faults {
        node.inject(0, fault, &mut Vec::new());
    }
    let taken = (0..1000).filter(|_| node.submit(0, request(1, 1)).is_ok());
    assert!((650..750).contains(&taken.count()));
    assert!(node.submit(SECOND, request(1, 1)).is_ok());
    for stream in 0..100 {
        node.submit(SECOND, request(stream + 2, 1)).expect("taken");
    }
    let mut changes = Vec::new();
    node.engine.advance(SECOND / 2, &mut Vec::new());
    drain(&mut node, Vec::new());
    node.take_cache_changes(SECOND - 1, &mut changes);
    let (seen, lost) = (changes.len() as u64, node.lost_changes());
    assert_eq!(seen + lost, 1010, "ten blocks of 101 prompts");
    assert!((250..350).contains(&lost));
}

#[test]
fn stale_metrics_show_the_past() {
    let mut node = node();
    let lasts = SECOND;
    node.inject(0, Fault::StaleMetrics { lasts }, &mut Vec::new());
    node.submit(0, request(1, 2000)).expect("taken");
    node.advance(SECOND - 1, &mut Vec::new());
    assert_eq!(node.scrape(SECOND - 1).expect("up").running, 0);
    assert_eq!(node.scrape(SECOND).expect("up").running, 1);
}

#[test]
fn a_flush_is_told_and_forgets_everything() {
    let mut node = node();
    node.submit(0, request(1, 1)).expect("taken");
    drain(&mut node, Vec::new());
    node.inject(SECOND, Fault::FlushCache, &mut Vec::new());
    let mut changes = Vec::new();
    node.take_cache_changes(SECOND, &mut changes);
    assert_eq!(changes.last(), Some(&CacheChange::Cleared));
    node.submit(SECOND, request(1, 1)).expect("taken");
    assert_eq!(drain(&mut node, Vec::new())[0].cached_tokens, 0);
}
