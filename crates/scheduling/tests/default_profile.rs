//! The default profile against what it should beat, on a small fleet in virtual time.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly")]

mod fleet;

use fleet::server::Hardware;
use fleet::workload::{Chat, Request, mooncake};
use fleet::{Report, run};
use scheduling::{BuildOptions, Registry, Scheduler};

/// What the reference picker uses when nothing is configured.
fn reference() -> Scheduler {
    let options = BuildOptions::default();
    let (scheduler, problems) = Scheduler::read("", "", &Registry::standard(), options, None);
    assert!(problems.is_empty(), "{problems:?}");
    scheduler.unwrap()
}

struct Outcome {
    ours: Report,
    round_robin: Report,
    reference: Report,
}

fn compare(title: &str, fleet: &[Hardware], requests: &[Request]) -> Outcome {
    let outcome = Outcome {
        ours: run(&Scheduler::standard(), fleet, requests, 1),
        round_robin: run(&Scheduler::round_robin(), fleet, requests, 1),
        reference: run(&reference(), fleet, requests, 1),
    };
    println!("{title}");
    println!("  round robin {}", outcome.round_robin.line());
    println!("  2-2-3       {}", outcome.reference.line());
    println!("  default     {}", outcome.ours.line());
    outcome
}

/// Mean and 90th percentile of TTFT, as shares of another run's.
fn shares(ours: &Report, other: &Report) -> (f64, f64) {
    let p90 = |report: &Report| Report::quantile(&report.ttft, 0.9);
    (ours.mean_ttft() / other.mean_ttft(), p90(ours) / p90(other))
}

fn assert_below(shares: (f64, f64), most: f64, what: &str) {
    assert!(
        shares.0 <= most && shares.1 <= most,
        "{what}: {shares:?} of its TTFT"
    );
}

fn chat(per_second: f64) -> Vec<Request> {
    Chat {
        requests: 3000,
        per_second,
        system_prompts: 6,
        system_tokens: 3000,
        turn_tokens: 1500.0,
        output_tokens: 150.0,
        turns: 8,
        think_secs: 15.0,
    }
    .generate(1)
}

#[test]
fn conversations_with_shared_system_prompts() {
    let outcome = compare("chat", &[Hardware::H100_8B; 8], &chat(90.0));
    assert_below(
        shares(&outcome.ours, &outcome.round_robin),
        0.5,
        "round robin",
    );
    assert_below(shares(&outcome.ours, &outcome.reference), 0.85, "2-2-3");
    assert!(outcome.ours.hit_rate() > outcome.round_robin.hit_rate() + 0.1);
}

#[test]
fn servers_of_different_speeds() {
    let speeds = [1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 3.0, 3.0];
    let fleet = speeds.map(|factor| Hardware::H100_8B.slower(factor));
    let outcome = compare("chat on mixed hardware", &fleet, &chat(40.0));
    assert_below(
        shares(&outcome.ours, &outcome.round_robin),
        0.3,
        "round robin",
    );
    assert_below(shares(&outcome.ours, &outcome.reference), 0.9, "2-2-3");
}

#[test]
fn a_quiet_fleet_is_not_made_worse() {
    let outcome = compare("quiet chat", &[Hardware::H100_8B; 4], &chat(5.0));
    assert_below(
        shares(&outcome.ours, &outcome.round_robin),
        1.0,
        "round robin",
    );
    assert_below(shares(&outcome.ours, &outcome.reference), 1.05, "2-2-3");
}

#[test]
fn recorded_conversations() {
    let Some(requests) = mooncake("conversation", 2000, 3.5, 1) else {
        println!("skipped: the recorded trace is not beside the project");
        return;
    };
    let outcome = compare("recorded trace", &[Hardware::H100_8B; 8], &requests);
    assert_below(
        shares(&outcome.ours, &outcome.round_robin),
        0.5,
        "round robin",
    );
    assert_below(shares(&outcome.ours, &outcome.reference), 0.7, "2-2-3");
    assert!(outcome.ours.hit_rate() > outcome.round_robin.hit_rate());
}
