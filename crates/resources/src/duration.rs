use std::time::Duration;

/// Why a text is not a Gateway API duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "duration `{0}` is not valid, want one to four groups of up to five digits and a unit (h, m, s, ms), such as `1m30s`"
)]
pub struct DurationError(pub String);

/// Reads a duration such as `1h`, `1m30s` or `500ms` (GEP-2257).
///
/// # Errors
/// If the text is empty, has a sign, a fraction, another unit, more than five digits before a unit,
/// or more than four groups.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError(text.to_owned());
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut groups = 0;
    while !rest.is_empty() {
        groups += 1;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if groups > 4 || digits == 0 || digits > 5 {
            return Err(invalid());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (unit, millis) = units
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .ok_or_else(invalid)?;
        rest = &rest[unit.len()..];
        total += Duration::from_millis(number * millis);
    }
    if groups == 0 {
        Err(invalid())
    } else {
        Ok(total)
    }
}

#[cfg(test)]
mod tests;
