//! Flags as Go's programs take them, for the commands that take the place of one: `-pool-name=x`, `--v 4`.

use std::ffi::OsString;

/// Commands whose flags may be written Go's way.
const COMMANDS: [&str; 2] = ["epp", "bbr"];

/// Writes long flags with one dash as clap wants them, for `plimsoll epp` and `plimsoll bbr` only.
pub(crate) fn normalised(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = arguments.into_iter().collect();
    let replaces_go = all
        .iter()
        .skip(1)
        .find_map(|argument| argument.to_str().filter(|text| !text.starts_with('-')))
        .is_some_and(|command| COMMANDS.contains(&command));
    if !replaces_go {
        return all;
    }
    for argument in all.iter_mut().skip(1) {
        if let Some(long) = argument.to_str().and_then(as_long) {
            *argument = long.into();
        }
    }
    all
}

/// `-name` and `-name=value` with two dashes. One letter stays as it is, and so do numbers.
fn as_long(text: &str) -> Option<String> {
    let name = text.strip_prefix('-')?;
    let letters = name.split('=').next().unwrap_or_default();
    let long = letters.len() > 1 && letters.starts_with(|first: char| first.is_ascii_lowercase());
    long.then(|| format!("--{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words = normalised(words).into_iter();
        words
            .map(|word| word.into_string().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn single_dashes_become_two_where_a_go_program_is_replaced() {
        assert_eq!(
            of("plimsoll epp -pool-name a -v=4 -grpc-port=9002 --secure-serving=false -f x -v 2"),
            "plimsoll epp --pool-name a -v=4 --grpc-port=9002 --secure-serving=false -f x -v 2"
        );
        assert_eq!(
            of("plimsoll --log info bbr -streaming"),
            "plimsoll --log info bbr -streaming"
        );
        assert_eq!(of("plimsoll bbr -streaming"), "plimsoll bbr --streaming");
        assert_eq!(of("plimsoll up -ff x"), "plimsoll up -ff x");
        assert_eq!(of("plimsoll epp -1"), "plimsoll epp -1");
    }
}
