//! Sizes as Kubernetes writes quantities: `4Mi`, `16MiB`, `1000000`.

use std::str::FromStr;

/// A size of the command line; 0 means no choice was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) usize);

const SUFFIXES: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no size; write for example 4Mi or 16MiB");
        let bare = text.strip_suffix('B').unwrap_or(text);
        if bare.is_empty() {
            return Ok(Self(0));
        }
        let (suffix, scale) = SUFFIXES
            .iter()
            .find(|(suffix, _)| bare.ends_with(suffix))
            .ok_or_else(wrong)?;
        let number: u64 = bare[..bare.len() - suffix.len()]
            .parse()
            .map_err(|_| wrong())?;
        number
            .checked_mul(*scale)
            .and_then(|size| usize::try_from(size).ok())
            .map(Self)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_explained() {
        for (text, want) in [
            ("", 0),
            ("0", 0),
            ("4Mi", 4 << 20),
            ("16MiB", 16 << 20),
            ("5k", 5_000),
            ("7", 7),
        ] {
            assert_eq!(text.parse::<Bytes>(), Ok(Bytes(want)), "{text}");
        }
        for text in ["x", "-1", "4Xi", "99999999999Ti"] {
            assert!(text.parse::<Bytes>().unwrap_err().contains("4Mi"), "{text}");
        }
    }
}
