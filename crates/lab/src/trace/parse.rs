//! The four formats, line by line.

use std::io::BufRead;
use std::time::Duration;

use serde::Deserialize;

use super::lines::Lines;
use super::{Format, MAX_RECORDS, Record};
use crate::error::LabError;

/// A prompt or an answer longer than this is a damaged line, not a request.
const MAX_TOKENS: u32 = 16_000_000;

/// Recognises the format by the first line and reads all records.
pub(super) fn records<R: BufRead>(
    lines: &mut Lines<R>,
    block_tokens: u32,
) -> Result<(Format, Vec<Record>), LabError> {
    let Some(first) = lines.next()? else {
        return Err(lines.error("the trace is empty".to_owned()));
    };
    let format = recognise(first);
    // JSON lines have no header: the first line is already a record.
    let without_header = format.filter(|&format| format == Format::MooncakeJsonl);
    let record = without_header
        .map(|format| row(format, first, block_tokens))
        .transpose();
    let format = format.ok_or_else(|| lines.error(UNKNOWN_FORMAT.to_owned()))?;
    let mut records: Vec<Record> = record
        .map_err(|what| lines.error(what))?
        .into_iter()
        .collect();
    while let Some(line) = lines.next()? {
        let record = row(format, line, block_tokens).map_err(|what| lines.error(what))?;
        if records.len() == MAX_RECORDS {
            return Err(lines.error(format!("more than {MAX_RECORDS} requests; cut the file")));
        }
        records.push(record);
    }
    if records.is_empty() {
        return Err(lines.error("the trace has a header and no requests".to_owned()));
    }
    Ok((format, records))
}

const UNKNOWN_FORMAT: &str = "unknown trace format; expected a Mooncake JSON object, or one of \
    the headers `timestamp_ms,input_length,output_length,hash_ids` (Mooncake), \
    `TIMESTAMP,ContextTokens,GeneratedTokens` (Azure), `timestamp_s,input_tokens,output_tokens` \
    (ServeGen)";

fn recognise(first: &str) -> Option<Format> {
    if first.starts_with('{') {
        return Some(Format::MooncakeJsonl);
    }
    let columns: Vec<&str> = first.split(',').map(str::trim).collect();
    match columns.as_slice() {
        ["timestamp_ms", "input_length", "output_length", "hash_ids"] => Some(Format::MooncakeCsv),
        ["TIMESTAMP", "ContextTokens", "GeneratedTokens", ..] => Some(Format::AzureCsv),
        ["timestamp_s", "input_tokens", "output_tokens", ..] => Some(Format::ServegenCsv),
        _ => None,
    }
}

fn row(format: Format, line: &str, block_tokens: u32) -> Result<Record, String> {
    let record = match format {
        Format::MooncakeJsonl => mooncake_json(line)?,
        Format::MooncakeCsv => mooncake_csv(line)?,
        Format::AzureCsv => azure(line)?,
        Format::ServegenCsv => servegen(line)?,
    };
    for (what, tokens) in [
        ("input", record.input_tokens),
        ("output", record.output_tokens),
    ] {
        if tokens > MAX_TOKENS {
            return Err(format!(
                "{what} of {tokens} tokens; the limit is {MAX_TOKENS}"
            ));
        }
    }
    let needed = record.input_tokens.div_ceil(block_tokens) as usize;
    if record.blocks.len() > needed + 1 {
        return Err(format!(
            "{} block ids for {} input tokens are too many for {block_tokens}-token blocks; give \
             the trace's own block size with --block-tokens",
            record.blocks.len(),
            record.input_tokens,
        ));
    }
    Ok(record)
}

#[derive(Deserialize)]
struct MooncakeLine {
    timestamp: f64,
    input_length: u32,
    output_length: u32,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

fn mooncake_json(line: &str) -> Result<Record, String> {
    let parsed: MooncakeLine = serde_json::from_str(line).map_err(|error| {
        format!(
            "not a Mooncake record (column {}): {}",
            error.column(),
            category(&error)
        )
    })?;
    Ok(Record {
        at: duration(parsed.timestamp / 1_000.0, "timestamp")?,
        input_tokens: parsed.input_length,
        output_tokens: parsed.output_length,
        blocks: parsed.hash_ids.into_boxed_slice(),
    })
}

/// serde_json's message without its own "at line 1 column n".
fn category(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn mooncake_csv(line: &str) -> Result<Record, String> {
    let [at, input, output, ids] = columns(line)?;
    let milliseconds = number::<f64>(at, "timestamp_ms")?;
    Ok(Record {
        at: duration(milliseconds / 1_000.0, "timestamp_ms")?,
        input_tokens: number(input, "input_length")?,
        output_tokens: number(output, "output_length")?,
        blocks: runs(ids)?,
    })
}

/// `0 14-27` is block 0 and the blocks 14 to 27.
fn runs(text: &str) -> Result<Box<[u64]>, String> {
    let mut ids = Vec::new();
    for run in text.split_whitespace() {
        let (from, to) = run.split_once('-').unwrap_or((run, run));
        let from: u64 = number(from, "hash_ids")?;
        let to: u64 = number(to, "hash_ids")?;
        if to < from || to - from >= u64::from(MAX_TOKENS) {
            return Err(format!(
                "hash_ids: {run:?} is not a run of ids `first-last`"
            ));
        }
        ids.extend(from..=to);
    }
    Ok(ids.into_boxed_slice())
}

fn azure(line: &str) -> Result<Record, String> {
    let [at, input, output] = columns(line)?;
    Ok(Record {
        at: timestamp(at).ok_or_else(|| {
            format!("TIMESTAMP: {at:?} is not a time like 2023-11-16 18:17:03.9799600")
        })?,
        input_tokens: number(input, "ContextTokens")?,
        output_tokens: number(output, "GeneratedTokens")?,
        blocks: Box::default(),
    })
}

fn servegen(line: &str) -> Result<Record, String> {
    let [at, input, output] = columns(line)?;
    Ok(Record {
        at: duration(number(at, "timestamp_s")?, "timestamp_s")?,
        input_tokens: number(input, "input_tokens")?,
        output_tokens: number(output, "output_tokens")?,
        blocks: Box::default(),
    })
}

/// The first `N` comma-separated columns.
fn columns<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let mut fields = line.split(',').map(str::trim);
    let mut found = [""; N];
    for (index, field) in found.iter_mut().enumerate() {
        *field = fields
            .next()
            .ok_or_else(|| format!("{index} columns where at least {N} are expected"))?;
    }
    Ok(found)
}

fn number<T: std::str::FromStr>(text: &str, column: &str) -> Result<T, String> {
    let short: String = text.chars().take(40).collect();
    text.parse()
        .map_err(|_| format!("{column}: {short:?} is not a number in range"))
}

fn duration(seconds: f64, column: &str) -> Result<Duration, String> {
    let rounded = (seconds * 1e6).round() / 1e6;
    Duration::try_from_secs_f64(rounded)
        .map_err(|_| format!("{column}: {seconds} s is not a time from the start of the trace"))
}

/// `YYYY-MM-DD HH:MM:SS[.fraction][+00:00|Z]` as time since 1970-01-01. Only differences matter, so
/// an offset from UTC is not applied.
fn timestamp(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let days = days_since_1970(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    let clock = time.trim_end_matches('Z').split(['+']).next()?;
    let mut parts = clock.splitn(3, ':');
    let hours: u64 = parts.next()?.parse().ok().filter(|&hour| hour < 24)?;
    let minutes: u64 = parts.next()?.parse().ok().filter(|&minute| minute < 60)?;
    let seconds: f64 = parts.next()?.parse().ok().filter(|&second| second < 61.0)?;
    let whole = days
        .checked_mul(86_400)?
        .checked_add(hours * 3_600 + minutes * 60)?;
    Some(Duration::from_secs(whole) + Duration::try_from_secs_f64(seconds).ok()?)
}

/// Days from 1970-01-01 in the Gregorian calendar; `None` before it or for an impossible date.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    if !(1970..10_000).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let past = year - 1;
    let leap_days = (past / 4 - past / 100 + past / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let before = BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    Some((year - 1970) * 365 + leap_days + before + u64::from(leap && month > 2) + day - 1)
}
