use std::fmt::Write as _;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

/// Writes down what it is told.
#[derive(Default)]
struct Log(String);

impl Sink for Log {
    fn key(&mut self, at: usize, depth: usize, key: Token<'_>) {
        let name = key
            .name()
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        writeln!(self.0, "{depth} key {at} {name:?}").unwrap();
    }

    fn open(&mut self, at: usize, depth: usize, container: Container) {
        writeln!(self.0, "{depth} open {at} {container:?}").unwrap();
    }

    fn close(&mut self, end: usize, depth: usize) {
        writeln!(self.0, "{depth} close {end}").unwrap();
    }

    fn string(&mut self, at: usize, depth: usize) -> usize {
        writeln!(self.0, "{depth} string {at}").unwrap();
        MAX_DEPTH
    }

    fn string_end(&mut self, span: Range<usize>, depth: usize, text: Token<'_>) {
        writeln!(self.0, "{depth} string_end {span:?} {:?}", text.text()).unwrap();
    }

    fn scalar(&mut self, span: Range<usize>, depth: usize, scalar: Scalar, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        writeln!(self.0, "{depth} scalar {span:?} {scalar:?} {text}").unwrap();
    }
}

fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, Result<(), BodyError>) {
    let mut scanner = Scanner::new();
    let mut log = Log::default();
    for piece in pieces {
        if let Err(error) = scanner.feed(piece, &mut log) {
            return (log.0, Err(error));
        }
    }
    let end = scanner.finish();
    (log.0, end)
}

fn verdict(text: impl AsRef<[u8]>) -> Result<(), BodyError> {
    scan([text.as_ref()]).1
}

/// What serde_json says of the text as an object whose content it does not build.
fn serde_accepts(text: &[u8]) -> bool {
    let is_object = text.trim_ascii_start().first() == Some(&b'{');
    is_object && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

#[test]
fn grammar_rfc8259() {
    for text in [
        "{}",
        " \t\r\n{ } \n",
        r#"{"a":1}"#,
        r#"{"a":[],"b":{},"a":[[],{}]}"#,
        r#"{"":""}"#,
        r#"{"a":[0,-0,10,-1.5,0.25,1e5,1E+5,1e-5,-0.0e0,123456789012345678901234567890,1e400]}"#,
        r#"{"a":[true,false,null]}"#,
        r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}"#,
        r#"{"a":"\ud83d","b":"\udc00\ud83d"}"#,
        "{\"a\":\"\u{7f}é😀\"}",
    ] {
        assert_eq!(verdict(text), Ok(()), "{text}");
        assert!(serde_accepts(text.as_bytes()), "{text}");
    }
}

#[test]
fn errors_say_where() {
    for (text, offset) in [
        ("", 0),
        ("  ", 2),
        ("{", 1),
        ("\u{feff}{}", 0),
        ("{}x", 2),
        ("{} {}", 3),
        ("{a:1}", 1),
        ("{'a':1}", 1),
        (r#"{"a"}"#, 4),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":}"#, 5),
        (r#"{"a":1,}"#, 7),
        (r#"{,"a":1}"#, 1),
        (r#"{"a":1 "b":2}"#, 7),
        (r#"{"a":1]"#, 6),
        (r#"{"a":[1,]}"#, 8),
        (r#"{"a":[1}"#, 7),
        (r#"{"a":[1 2]}"#, 8),
        (r#"{"a":01}"#, 6),
        (r#"{"a":+1}"#, 5),
        (r#"{"a":-}"#, 6),
        (r#"{"a":1.}"#, 7),
        (r#"{"a":.5}"#, 5),
        (r#"{"a":1e}"#, 7),
        (r#"{"a":1e+}"#, 8),
        (r#"{"a":0x1}"#, 6),
        (r#"{"a":NaN}"#, 5),
        (r#"{"a":tru}"#, 8),
        (r#"{"a":nulll}"#, 9),
        (r#"{"a":True}"#, 5),
        (r#"{"a":"\x"}"#, 7),
        (r#"{"a":"\u12g4"}"#, 10),
        (r#"{"a":"\u123"}"#, 11),
        ("{\"a\":\"\n\"}", 6),
        ("{\"a\":\"\0\"}", 6),
        ("{\"a\n\":1}", 3),
        (r#"{"a":"b"#, 7),
        (r#"{"a":"b\"#, 8),
        (r#"{"a":1"#, 6),
        (r#"{"a":tr"#, 7),
        (r#"{"a":/*c*/1}"#, 5),
    ] {
        match verdict(text) {
            Err(BodyError::Invalid { offset: at, .. }) => assert_eq!(at, offset, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
        assert!(!serde_accepts(text.as_bytes()), "{text:?}");
    }
    for text in ["[]", "null", "1", "-1", "\"x\"", "true", " false", "[{}]"] {
        assert_eq!(verdict(text), Err(BodyError::NotAnObject), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(verdict(nested(MAX_DEPTH - 1)), Ok(()));
    let too_deep = BodyError::TooDeep {
        offset: 5 + MAX_DEPTH - 1,
        limit: MAX_DEPTH,
    };
    assert_eq!(verdict(nested(MAX_DEPTH)), Err(too_deep));
    assert!(matches!(
        verdict(nested(5000)),
        Err(BodyError::TooDeep { .. })
    ));
    // Brackets must match across every level that the bits hold.
    for depth in 1..200 {
        for wrong in 0..depth {
            let mut text = String::new();
            (0..depth)
                .for_each(|level| text.push_str(if level % 3 == 0 { "{\"k\":" } else { "[" }));
            text.push('0');
            for level in (0..depth).rev() {
                let is_object = (level % 3 == 0) != (level == wrong);
                text.push(if is_object { '}' } else { ']' });
            }
            assert!(verdict(&text).is_err(), "{text}");
        }
    }
}

#[test]
fn names_through_escapes_and_chunks() {
    let text = r#"{"mod\u0065l":"a\u00e9\ud83d\ude00\n","long":"x","\ud800":1}"#;
    let (whole, end) = scan([text.as_bytes()]);
    assert_eq!(end, Ok(()));
    assert!(whole.contains("key 1 Some(\"model\")"), "{whole}");
    assert!(whole.contains("Ok(\"aé😀\\n\")"), "{whole}");
    assert!(whole.contains(" None"), "{whole}");
    for size in 1..text.len() {
        assert_eq!(
            scan(text.as_bytes().chunks(size)).0,
            whole,
            "chunks of {size}"
        );
    }
}

#[test]
fn a_long_key_is_no_known_name_wherever_it_is_cut() {
    let key = format!("model{}", "x".repeat(MAX_KEY));
    let text = format!("{{\"{key}\":1}}");
    let (log, _) = scan(text.as_bytes().chunks(3));
    assert!(log.contains("key 1 None"), "{log}");
}

#[test]
fn counts() {
    for (text, count) in [
        ("0", Some(0)),
        ("128000", Some(128_000)),
        ("100.0", Some(100)),
        ("1e3", Some(1000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("1.5", None),
        ("1e400", None),
        ("null", None),
        ("", None),
        ("nan", None),
        ("inf", None),
    ] {
        assert_eq!(parse_count(text.as_bytes()), count, "{text}");
    }
}

/// Texts near JSON: documents with some bytes changed.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(&b"{}[]:,\"\\ueE+-.0123456789truefalsnl \n\t\r"[..]),
        any::<u8>(),
    ];
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), byte), 0..3);
    (json(), changes, any::<bool>()).prop_map(|(json, changes, pretty)| {
        let text = if pretty {
            format!("{json:#}")
        } else {
            json.to_string()
        };
        let mut bytes = text.into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

pub(crate) fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[ -~é\"\\\\\n]{0,12}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map("[a-c\"\\\\]{0,3}", inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::hash_map("[a-z]{1,6}", value, 0..5)
        .prop_map(|members| serde_json::Value::Object(members.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_serde_on_what_is_json(text in near_json()) {
        prop_assert_eq!(verdict(&text).is_ok(), serde_accepts(&text));
    }

    #[test]
    fn agrees_with_serde_on_any_bytes(
        text in prop::collection::vec(prop::sample::select(&b"{}[]:,\"\\u00e+-.19tnul a\n"[..]), 0..12)
    ) {
        let text = [b"{\"a\":", &text[..]].concat();
        prop_assert_eq!(verdict(&text).is_ok(), serde_accepts(&text));
    }

    #[test]
    fn splits_do_not_matter(text in near_json(), cuts in prop::collection::vec(1usize..9, 1..30)) {
        let whole = scan([&text[..]]);
        let mut pieces = Vec::new();
        let mut rest = &text[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(&scan(pieces), &whole);
        prop_assert_eq!(&scan(text.chunks(1)), &whole);
    }
}
