use super::*;

fn index(names: &[&str]) -> HostIndex<String> {
    let mut index = HostIndex::default();
    for name in names {
        let hostname = (*name != "*").then(|| Hostname::parse(name).expect("hostname"));
        *index.entry(hostname.as_ref()) = (*name).to_owned();
    }
    index
}

#[test]
fn the_most_specific_hostname_comes_first() {
    let index = index(&[
        "*",
        "*.example.com",
        "*.chat.example.com",
        "a.chat.example.com",
    ]);
    let cases: [(&str, &[&str]); 7] = [
        (
            "a.chat.example.com",
            &[
                "a.chat.example.com",
                "*.chat.example.com",
                "*.example.com",
                "*",
            ],
        ),
        (
            "b.chat.example.com",
            &["*.chat.example.com", "*.example.com", "*"],
        ),
        ("chat.example.com", &["*.example.com", "*"]),
        ("example.com", &["*"]),
        (".example.com", &["*"]),
        ("xexample.com", &["*"]),
        ("", &["*"]),
    ];
    for (host, want) in cases {
        assert_eq!(index.matching(host).collect::<Vec<_>>(), want, "{host}");
    }
}

#[test]
fn ports_are_cut_off() {
    let cases = [
        ("example.com", "example.com"),
        ("example.com:8080", "example.com"),
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
        ("10.0.0.1:1", "10.0.0.1"),
        ("", ""),
        (":80", ""),
    ];
    for (host, want) in cases {
        assert_eq!(without_port(host), want, "{host}");
    }
}

#[test]
fn hosts_are_lowered_in_place() {
    let mut lowered = Lowered::default();
    assert_eq!(lowered.fill("Chat.Example.COM."), "chat.example.com");
    assert_eq!(lowered.fill(&"a".repeat(253)), "a".repeat(253));
    assert_eq!(lowered.fill(&"a".repeat(255)), "", "too long for a name");
}
