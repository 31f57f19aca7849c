//! Durations as Go writes them: `50ms`, `1m30s`, `2h`.

use std::str::FromStr;
use std::time::Duration;

/// A duration of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoDuration(pub(crate) Duration);

const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
];

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no duration; write for example 50ms, 2s or 1m30s");
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut seconds) = (text, 0.0);
        while !rest.is_empty() {
            let digits = rest
                .find(|character: char| !character.is_ascii_digit() && character != '.')
                .filter(|end| *end > 0)
                .ok_or_else(wrong)?;
            let (number, after) = rest.split_at(digits);
            let letters = after
                .find(|character: char| character.is_ascii_digit())
                .unwrap_or(after.len());
            let (unit, next) = after.split_at(letters);
            let number: f64 = number.parse().map_err(|_| wrong())?;
            let (_, scale) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(wrong)?;
            seconds += number * scale;
            rest = next;
        }
        if text.is_empty() {
            return Err(wrong());
        }
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_or_explained() {
        for (text, millis) in [
            ("50ms", 50),
            ("2s", 2_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("1000us", 1),
        ] {
            let got: GoDuration = text.parse().unwrap();
            assert_eq!(got.0, Duration::from_millis(millis), "{text}");
        }
        for text in ["", "5", "ms", "5 s", "-1s", "1x"] {
            assert!(
                text.parse::<GoDuration>().unwrap_err().contains("50ms"),
                "{text}"
            );
        }
    }
}
