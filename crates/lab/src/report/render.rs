//! A summary as text for a terminal, alone or beside an earlier one.

use std::fmt::{self, Write};

use super::{Summary, TallySummary};
use crate::stats::Quantiles;

/// Pods listed one by one; more are summed up.
const PODS_SHOWN: usize = 32;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        writeln!(
            f,
            "{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "p50", "p90", "p99", "max", "mean"
        )?;
        for (name, quantiles) in [
            ("TTFT", &self.total.ttft),
            ("TPOT", &self.total.tpot),
            ("ITL", &self.itl),
            ("end to end", &self.total.e2e),
        ] {
            if quantiles.count > 0 {
                row(f, name, quantiles)?;
            }
        }
        if self.lag_wall.p99_ms >= 0.05 {
            row(f, "send lag *", &self.lag_wall)?;
            writeln!(
                f,
                "  * the generator's own lateness, real time; part of the times above"
            )?;
        }
        writeln!(f, "cache hits  {}", hits(&self.total))?;
        writeln!(
            f,
            "throughput  {:.2} requests/s, {:.0} prompt tokens/s, {:.0} output tokens/s",
            self.total.requests_per_s,
            self.total.prompt_tokens_per_s,
            self.total.output_tokens_per_s,
        )?;
        self.errors(f)?;
        self.classes(f)?;
        self.targets(f)?;
        self.pods(f)?;
        self.added(f)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl Summary {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} requests, {} failed, {:.1} s",
            self.title, self.total.requests, self.total.failed, self.wall_s
        )?;
        if is_scaled(self.time_scale) {
            let (trace_s, scale) = (self.wall_s * self.time_scale, self.time_scale);
            write!(
                f,
                " = {trace_s:.0} s of trace time (scale {scale}; all times below are trace time)"
            )?;
        }
        writeln!(f)
    }

    fn errors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() {
            return writeln!(f, "errors      0");
        }
        writeln!(f, "errors      {}", self.total.failed)?;
        for (cause, error) in &self.errors {
            writeln!(
                f,
                "  {:<18}{:>6}  first: {}",
                cause, error.count, error.example
            )?;
        }
        Ok(())
    }

    fn classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.classes.len() < 2 {
            return Ok(());
        }
        writeln!(f, "by class")?;
        for (name, tally) in &self.classes {
            tally_row(f, name, tally)?;
        }
        Ok(())
    }

    fn targets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Round robin over servers that name themselves: the pods below say the same.
        if self.targets.len() < 2 || self.pods.len() >= self.targets.len() && self.added.is_none() {
            return Ok(());
        }
        writeln!(f, "by endpoint")?;
        for target in &self.targets {
            tally_row(f, &target.url, &target.tally)?;
        }
        Ok(())
    }

    fn pods(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pods.is_empty() {
            return Ok(());
        }
        writeln!(f, "served by")?;
        for (name, pod) in self.pods.iter().take(PODS_SHOWN) {
            writeln!(
                f,
                "  {:<28}{:>7} requests ({:>4.1} %)  hits {:>6}  TTFT p50 {:>8}  p90 {:>8}",
                name,
                pod.requests,
                pod.share * 100.0,
                percent(pod.hit_rate),
                Ms(pod.ttft_p50_ms).to_string(),
                Ms(pod.ttft_p90_ms).to_string(),
            )?;
        }
        match self.pods.len().saturating_sub(PODS_SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }

    fn added(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(added), [first, second]) = (&self.added, self.targets.as_slice()) else {
            return Ok(());
        };
        writeln!(
            f,
            "added by {} over {} ({} pairs, real time)",
            first.url, second.url, added.pairs
        )?;
        let us = |ms: f64| format!("{:+.0} µs", ms * 1e3);
        writeln!(
            f,
            "  TTFT        p50 {:>10}   p99 {:>10}   median of pairs {:>10}",
            us(added.ttft_p50_ms),
            us(added.ttft_p99_ms),
            us(added.ttft_paired_median_ms),
        )?;
        writeln!(
            f,
            "  end to end  p50 {:>10}   p99 {:>10}",
            us(added.e2e_p50_ms),
            us(added.e2e_p99_ms)
        )
    }

    /// Both summaries side by side, and how much smaller (-) or larger (+) each figure of this one
    /// is than `other`'s.
    #[must_use]
    pub fn against(&self, other: &Summary) -> String {
        let mut out = String::new();
        let (this, that) = (&self.total, &other.total);
        let rows: [(&str, f64, f64); 8] = [
            ("TTFT mean", this.ttft.mean_ms, that.ttft.mean_ms),
            ("TTFT p50", this.ttft.p50_ms, that.ttft.p50_ms),
            ("TTFT p90", this.ttft.p90_ms, that.ttft.p90_ms),
            ("TTFT p99", this.ttft.p99_ms, that.ttft.p99_ms),
            ("TPOT mean", this.tpot.mean_ms, that.tpot.mean_ms),
            ("TPOT p99", this.tpot.p99_ms, that.tpot.p99_ms),
            ("E2E p50", this.e2e.p50_ms, that.e2e.p50_ms),
            ("E2E p99", this.e2e.p99_ms, that.e2e.p99_ms),
        ];
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<12}{:>14}{:>14}{:>10}",
            "", "this run", "the other", "change"
        );
        for (name, a, b) in rows {
            let (a_text, b_text) = (Ms(a).to_string(), Ms(b).to_string());
            let _ = writeln!(
                out,
                "{name:<12}{a_text:>14}{b_text:>14}{:>10}",
                change(a, b)
            );
        }
        let (a, b) = (percent(this.hit_rate), percent(that.hit_rate));
        let points = match (this.hit_rate, that.hit_rate) {
            (Some(a), Some(b)) => format!("{:+.1} pt", (a - b) * 100.0),
            _ => String::new(),
        };
        let _ = writeln!(out, "{:<12}{a:>14}{b:>14}{points:>10}", "cache hits");
        let _ = writeln!(
            out,
            "{:<12}{:>14}{:>14}",
            "failed", this.failed, that.failed
        );
        let _ = writeln!(out, "this run: {}\nthe other: {}", self.title, other.title);
        if this.requests != that.requests || (self.time_scale - other.time_scale).abs() > 1e-9 {
            let _ = writeln!(out, "warning: the runs differ in requests or time scale");
        }
        out
    }
}

fn is_scaled(scale: f64) -> bool {
    (scale - 1.0).abs() > 1e-9
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, q: &Quantiles) -> fmt::Result {
    write!(f, "{name:<12}")?;
    for ms in [q.p50_ms, q.p90_ms, q.p99_ms, q.max_ms, q.mean_ms] {
        write!(f, "{:>10}", Ms(ms).to_string())?;
    }
    writeln!(f)
}

fn tally_row(f: &mut fmt::Formatter<'_>, name: &str, tally: &TallySummary) -> fmt::Result {
    writeln!(
        f,
        "  {:<28}{:>7} requests, {} failed  hits {:>6}  TTFT p50 {:>8}  p90 {:>8}  p99 {:>8}",
        name,
        tally.requests,
        tally.failed,
        percent(tally.hit_rate),
        Ms(tally.ttft.p50_ms).to_string(),
        Ms(tally.ttft.p90_ms).to_string(),
        Ms(tally.ttft.p99_ms).to_string(),
    )
}

fn hits(tally: &TallySummary) -> String {
    let tokens = tally.prompt_tokens;
    match tally.hit_rate {
        Some(rate) => format!("{:.1} % of {tokens} prompt tokens", rate * 100.0),
        // vLLM says nothing about zero hits either, so this may mean zero.
        None => format!("none reported, for {tokens} prompt tokens"),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn change(a: f64, b: f64) -> String {
    if b > 0.0 {
        format!("{:+.1} %", (a / b - 1.0) * 100.0)
    } else {
        String::new()
    }
}

/// Milliseconds in the unit that reads best.
struct Ms(f64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms >= 100_000.0 => write!(f, "{:.0} s", ms / 1e3),
            ms if ms >= 1_000.0 => write!(f, "{:.2} s", ms / 1e3),
            ms if ms >= 10.0 => write!(f, "{ms:.0} ms"),
            ms if ms >= 1.0 => write!(f, "{ms:.1} ms"),
            ms => write!(f, "{:.0} µs", ms * 1e3),
        }
    }
}
