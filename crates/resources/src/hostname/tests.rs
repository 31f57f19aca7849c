use super::*;
use proptest::prelude::*;

fn host(text: &str) -> Hostname {
    Hostname::parse(text).expect("hostname")
}

#[test]
fn names_and_wildcards_are_read() {
    assert_eq!(
        host("Chat.Example.com"),
        Hostname::Exact("chat.example.com".into())
    );
    assert_eq!(
        host("*.example.com"),
        Hostname::Wildcard(".example.com".into())
    );
    assert_eq!(host("*.example.com").to_string(), "*.example.com");
    let long = format!("{}.example", "a".repeat(64));
    for bad in [
        "", "*", "*.", "a..b", ".a", "a.", "-a", "a-", "a_b", "a.*.b", "*a.b", "10.0.0.1", "a:80",
        &long,
    ] {
        assert!(Hostname::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn wildcards_stand_for_one_label_or_more() {
    let cases = [
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "A.EXAMPLE.COM", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "aexample.com", false),
        ("example.com", "example.com", true),
        ("example.com", "a.example.com", false),
    ];
    for (hostname, name, want) in cases {
        assert_eq!(host(hostname).matches(name), want, "{hostname} {name}");
    }
}

#[test]
fn intersections_are_the_narrower_name() {
    let cases = [
        ("a.example.com", "a.example.com", Some("a.example.com")),
        ("a.example.com", "*.example.com", Some("a.example.com")),
        ("a.b.example.com", "*.example.com", Some("a.b.example.com")),
        ("*.example.com", "*.example.com", Some("*.example.com")),
        ("*.b.example.com", "*.example.com", Some("*.b.example.com")),
        ("example.com", "*.example.com", None),
        ("*.example.com", "*.example.net", None),
        ("*.xexample.com", "*.example.com", None),
        ("a.example.com", "b.example.com", None),
    ];
    for (left, right, want) in cases {
        for (left, right) in [(left, right), (right, left)] {
            let common = host(left)
                .intersect(&host(right))
                .map(|host| host.to_string());
            assert_eq!(common.as_deref(), want, "{left} {right}");
        }
    }
}

#[test]
fn exact_names_are_more_specific_than_longer_wildcards() {
    assert!(host("a.b").specificity() > host("*.very.long.example.com").specificity());
    assert!(host("*.b.example.com").specificity() > host("*.example.com").specificity());
}

proptest! {
    #[test]
    fn an_intersection_covers_what_both_cover(
        left in "(\\*\\.)?(a|b)(\\.(a|b)){0,2}",
        right in "(\\*\\.)?(a|b)(\\.(a|b)){0,2}",
        name in "(a|b)(\\.(a|b)){0,3}",
    ) {
        let (left, right) = (host(&left), host(&right));
        let common = left.intersect(&right);
        let both = left.matches(&name) && right.matches(&name);
        prop_assert_eq!(common.is_some_and(|common| common.matches(&name)), both);
    }
}
