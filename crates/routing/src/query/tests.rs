use super::*;

fn exact(name: &str, value: &str) -> QueryMatch {
    QueryMatch {
        name: name.into(),
        value: ValueMatch::Exact(value.into()),
    }
}

#[test]
fn the_first_parameter_of_a_name_counts() {
    let cases = [
        (None, false),
        (Some(""), false),
        (Some("animal=whale"), true),
        (Some("animal=dolphin&animal=whale"), false),
        (Some("animal=whale&animal=dolphin"), true),
        (Some("x=1&&animal=whale"), true),
        (Some("Animal=whale"), false),
        (Some("animal=Whale"), false),
        (Some("animal"), false),
        (Some("%61nimal=w%68ale"), true),
        (Some("animal=whale%"), false),
    ];
    for (query, want) in cases {
        assert_eq!(
            query_holds(query, &exact("animal", "whale")),
            want,
            "{query:?}"
        );
    }
}

#[test]
fn values_are_decoded() {
    assert!(query_holds(
        Some("q=a+b%2Bc%zz%2"),
        &exact("q", "a b+c%zz%2")
    ));
    assert!(query_holds(Some("q="), &exact("q", "")));
}
