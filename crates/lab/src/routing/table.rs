//! Results as text for a terminal.

use std::fmt::Write;

use super::policy::OURS;
use super::results::{Estimate, Point, Results, Row};
use super::score::{Metric, metric};

/// Columns of the table.
const COLUMNS: &[&str] = &[
    "ttft_mean",
    "ttft_p50",
    "ttft_p90",
    "ttft_p99",
    "tpot_p50",
    "tpot_p90",
    "e2e_p50",
    "goodput",
    "hit",
    "output_tokens_per_sec",
    "imbalance",
    "preemptions",
];
/// Columns that show the width of their interval.
const WITH_INTERVAL: &[&str] = &["ttft_p90", "goodput"];

/// All points, one table each.
pub(crate) fn text(results: &Results) -> String {
    let mut text = head(results);
    for point in &results.points {
        table(point, &mut text);
    }
    text
}

fn head(results: &Results) -> String {
    let setup = &results.setup;
    let facts = &setup.workload;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{}\n{} requests over {:.0} s, {:.0} tokens in and {:.0} out on average, {:.1} % of the prompt tokens shared; {}",
        results.title,
        facts.requests,
        facts.span_secs,
        facts.input_tokens_mean,
        facts.output_tokens_mean,
        100.0 * facts.reuse,
        setup.fleet,
    );
    let _ = writeln!(
        text,
        "{} seed(s), 95 % intervals; good = first token within {} s and {} ms per token; seconds unless said otherwise",
        setup.seeds,
        setup.slo.ttft_secs,
        1e3 * setup.slo.tpot_secs,
    );
    text
}

fn table(point: &Point, text: &mut String) {
    let metrics: Vec<&Metric> = COLUMNS.iter().filter_map(|key| metric(key)).collect();
    let _ = writeln!(
        text,
        "\nload {} ({:.1} requests/s)   no policy beats TTFT p50/p90/p99 of {}",
        point.load,
        point.offered_per_sec,
        [
            point.bounds.central_queue.p50,
            point.bounds.central_queue.p90,
            point.bounds.central_queue.p99,
        ]
        .map(short)
        .join("/"),
    );
    let _ = write!(text, "{:33}", "policy");
    for metric in &metrics {
        let _ = write!(text, "{:>1$}", metric.title, width(metric));
    }
    text.push('\n');
    for row in ranked(point) {
        let mark = if row.policy == OURS { "*" } else { " " };
        let title = if row.hypothetical {
            format!("({})", row.title)
        } else {
            row.title.clone()
        };
        let _ = write!(text, "{mark} {title:31}");
        for metric in &metrics {
            let estimate = row.estimate(metric);
            let _ = write!(text, "{:>1$}", cell(metric, estimate), width(metric));
        }
        let failed: u64 = row.scores.iter().map(|score| score.failed).sum();
        if failed > 0 {
            let _ = write!(text, "  {failed} failed");
        }
        text.push('\n');
    }
}

/// Best time to the first token first.
pub(crate) fn ranked(point: &Point) -> Vec<&Row> {
    let mut rows: Vec<&Row> = point.rows.iter().collect();
    let key = |row: &Row| metric("ttft_p90").map_or(0.0, |metric| row.estimate(metric).mean);
    rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
    rows
}

fn width(metric: &Metric) -> usize {
    if WITH_INTERVAL.contains(&metric.key) {
        14
    } else {
        11
    }
}

fn cell(metric: &Metric, estimate: Estimate) -> String {
    match estimate
        .half
        .filter(|_| WITH_INTERVAL.contains(&metric.key))
    {
        Some(half) => format!("{}±{}", short(estimate.mean), short(half)),
        None => short(estimate.mean),
    }
}

/// Three significant digits.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.9995 {
        format!("{value:.2}")
    } else if size >= 0.000_5 {
        format!("{value:.3}")
    } else if size == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.4}")
    }
}
