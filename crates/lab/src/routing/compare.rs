//! Two result files side by side.

use std::fmt::Write;

use super::results::{Point, Results, Row};
use super::score::metric;
use super::table::short;
use crate::error::LabError;

/// What is compared.
const KEYS: &[&str] = &[
    "ttft_mean",
    "ttft_p50",
    "ttft_p90",
    "ttft_p99",
    "tpot_p50",
    "e2e_p50",
    "goodput",
    "hit",
];

/// What changed from `a` to `b`, at loads and for policies that both have.
///
/// # Errors
/// [`LabError::Plan`] when they have nothing in common.
pub(crate) fn text(a: &Results, b: &Results) -> Result<String, LabError> {
    let mut text = format!("A: {}\nB: {}\n", a.title, b.title);
    if a.setup.workload != b.setup.workload || a.setup.fleet != b.setup.fleet {
        text.push_str("Workload or fleet differ: changes are not those of the policies alone.\n");
    }
    text.push_str("Change from A to B in per cent; * where the 95 % interval leaves out zero.\n");
    let mut found = false;
    for from in &a.points {
        let same = |point: &&Point| (point.load / from.load - 1.0).abs() < 1e-9;
        if let Some(to) = b.points.iter().find(same) {
            found |= point(from, to, &mut text);
        }
    }
    if found {
        Ok(text)
    } else {
        Err(LabError::Plan(
            "the two files have no load and policy in common".to_owned(),
        ))
    }
}

fn point(from: &Point, to: &Point, text: &mut String) -> bool {
    let pairs = from
        .rows
        .iter()
        .filter_map(|row| Some((row, to.row(&row.policy)?)));
    let pairs: Vec<(&Row, &Row)> = pairs.collect();
    if pairs.is_empty() {
        return false;
    }
    let _ = write!(text, "\nload {}\n{:33}", from.load, "policy");
    let metrics = || KEYS.iter().filter_map(|key| metric(key));
    for metric in metrics() {
        let _ = write!(text, "{:>20}", metric.title);
    }
    text.push('\n');
    for (before, after) in pairs {
        let _ = write!(text, "{:33}", before.title);
        for metric in metrics() {
            let (was, is) = (before.estimate(metric).mean, after.estimate(metric).mean);
            let change = after.difference(before, metric);
            let sure = change.half.is_some_and(|half| change.mean.abs() > half);
            let mark = if sure { "*" } else { "" };
            let percent = 100.0 * (is - was) / was.abs().max(1e-12);
            let cell = format!("{} {percent:+.1} %{mark}", short(is));
            let _ = write!(text, "{cell:>20}");
        }
        text.push('\n');
    }
    true
}
