use super::*;
use proptest::prelude::*;

#[test]
fn durations_are_read_as_gep_2257_has_them() {
    let good = [
        ("0s", 0),
        ("0h0m0s", 0),
        ("500ms", 500),
        ("1s", 1_000),
        ("1m30s", 90_000),
        ("1h", 3_600_000),
        ("99999h", 359_996_400_000),
        ("1s1s1s1s", 4_000),
        ("00001s", 1_000),
    ];
    for (text, millis) in good {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for bad in [
        "",
        "1",
        "s",
        "1.5s",
        "-1s",
        "+1s",
        "1us",
        "1d",
        "100000s",
        "1s1s1s1s1s",
        " 1s",
        "1s ",
        "1S",
        "1m 30s",
        "é",
    ] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn the_bindings_agree(text in "([0-9]{0,6}(h|m|s|ms|us|x)?){0,5}") {
        let theirs: Result<gateway_api::Duration, _> = text.parse();
        let ours = parse_duration(&text).ok().map(|ours| ours.as_millis());
        prop_assert_eq!(ours, theirs.ok().map(|theirs| theirs.as_millis()));
    }
}
