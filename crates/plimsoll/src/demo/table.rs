//! What the demo prints.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use lab::report::{Report, Tally};
use lifecycle::Core;
use scheduling::Candidate;

use super::fleet::{ADAPTERS, BASE_MODEL, Fleet};

/// Per endpoint, how often each reason was the deciding one.
pub(super) type Reasons = BTreeMap<String, BTreeMap<&'static str, usize>>;

/// What runs where, and lines to paste.
pub(super) fn greeting(fleet: &Fleet, gateway: SocketAddr, admin: SocketAddr) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "gateway  http://{gateway}");
    let _ = writeln!(
        text,
        "admin    http://{admin}/metrics  /debug/decisions  /debug/endpoints"
    );
    for endpoint in &fleet.endpoints {
        let _ = writeln!(
            text,
            "server   http://{}:{}  {}",
            endpoint.host, endpoint.port, endpoint.name
        );
    }
    let json = "-H 'content-type: application/json'";
    let _ = write!(
        text,
        "\nWhile this runs, paste:\n\n\
         curl -s http://{gateway}/v1/models\n\n\
         curl -sN http://{gateway}/v1/chat/completions {json} -d '{{\"model\":\"{BASE_MODEL}\",\"stream\":true,\"max_tokens\":20,\"messages\":[{{\"role\":\"user\",\"content\":\"Where does a Plimsoll line sit?\"}}]}}'\n\n\
         curl -si http://{gateway}/v1/messages {json} -d '{{\"model\":\"{}\",\"max_tokens\":20,\"messages\":[{{\"role\":\"user\",\"content\":\"Which pod answered? See x-plimsoll-endpoint.\"}}]}}'\n",
        ADAPTERS[0]
    );
    text
}

/// Why the picked endpoint won, over the decisions on record.
pub(super) fn reasons(core: &Core) -> Reasons {
    let block_tokens = u64::from(core.settings().block_tokens);
    let mut reasons = Reasons::new();
    for record in core.decisions().latest(usize::MAX, |_| true) {
        let candidates = record.decision.candidates.as_slice();
        let [best, second, ..] = candidates else {
            continue;
        };
        let reason = reason(best, second, &record.decision.scorer_names, block_tokens);
        *reasons
            .entry(best.endpoint.to_string())
            .or_default()
            .entry(reason)
            .or_default() += 1;
    }
    reasons
}

/// The scorer in which the winner led the runner-up most; where that is the load scorer, which weighs both the
/// prompt's own uncached part and the work ahead of it, the larger of the two.
fn reason(
    best: &Candidate,
    second: &Candidate,
    scorers: &[Arc<str>],
    block_tokens: u64,
) -> &'static str {
    let leads = best
        .scores
        .iter()
        .zip(&second.scores)
        .zip(scorers)
        .map(|((best, second), name)| (best - second, name));
    let Some((lead, scorer)) = leads.max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return "only one";
    };
    if lead <= f32::EPSILON {
        return "tie";
    }
    let more_cached =
        u64::from(best.matched_blocks.saturating_sub(second.matched_blocks)) * block_tokens;
    let less_ahead = second.inflight_tokens.saturating_sub(best.inflight_tokens);
    match () {
        () if scorer.contains("prefix") => "prefix cached",
        () if scorer.contains("lora") => "adapter loaded",
        () if scorer.contains("kv") => "free KV memory",
        () if scorer.contains("queue") => "shorter queue",
        () if more_cached > less_ahead => "prefix cached",
        () if less_ahead > 0 => "less work in flight",
        () => "faster server",
    }
}

/// Where requests went, and why.
pub(super) fn placement(fleet: &Fleet, ours: &Report, reasons: &Reasons) -> String {
    let mut text = String::from("Where the default profile sent requests, and why\n\n");
    let _ = writeln!(
        text,
        "{:<12} {:>8} {:>10} {:>10}  decided by",
        "server", "requests", "cache hit", "TTFT p50"
    );
    for endpoint in &fleet.endpoints {
        let short = endpoint.name.rsplit('/').next().unwrap_or(&endpoint.name);
        let tally = ours.pods.get(short);
        let why = reasons.get(&*endpoint.name).map(list).unwrap_or_default();
        let _ = writeln!(
            text,
            "{short:<12} {:>8} {:>10} {:>10}  {why}",
            tally.map_or(0, |tally| tally.requests),
            tally.map_or_else(|| "-".to_owned(), hit_rate),
            tally.map_or_else(|| "-".to_owned(), |tally| millis(tally, 0.5)),
        );
    }
    text
}

fn list(reasons: &BTreeMap<&'static str, usize>) -> String {
    let mut sorted: Vec<_> = reasons.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    sorted
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The two policies side by side.
pub(super) fn comparison(ours: &Report, theirs: &Report) -> String {
    let mut text = String::from("The same requests, each policy on a fresh fleet\n\n");
    let _ = writeln!(
        text,
        "{:<14} {:>8} {:>7} {:>10} {:>10} {:>10} {:>10}",
        "policy", "requests", "errors", "cache hit", "TTFT p50", "TTFT p90", "TTFT p99"
    );
    for (name, report) in [("plimsoll", ours), ("round robin", theirs)] {
        let total = &report.total;
        let _ = writeln!(
            text,
            "{name:<14} {:>8} {:>7} {:>10} {:>10} {:>10} {:>10}",
            total.requests,
            total.failed,
            hit_rate(total),
            millis(total, 0.5),
            millis(total, 0.9),
            millis(total, 0.99)
        );
    }
    let (our_p90, their_p90) = (
        ours.total.ttft.quantile(0.9),
        theirs.total.ttft.quantile(0.9),
    );
    if !our_p90.is_zero() {
        let _ = writeln!(
            text,
            "\nTTFT p90: {:.1} times lower than round robin.",
            their_p90.as_secs_f64() / our_p90.as_secs_f64()
        );
    }
    for (cause, count) in &ours.errors {
        let _ = writeln!(
            text,
            "error {cause}: {} times, e.g. {}",
            count.count, count.example
        );
    }
    text
}

fn hit_rate(tally: &Tally) -> String {
    tally
        .hit_rate()
        .map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", 100.0 * rate))
}

fn millis(tally: &Tally, quantile: f64) -> String {
    format!(
        "{:.0} ms",
        tally.ttft.quantile(quantile).as_secs_f64() * 1_000.0
    )
}
