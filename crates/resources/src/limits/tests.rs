use super::*;
use crate::tree;
use std::collections::BTreeMap;

fn faults(text: &str, table: &[Section]) -> Vec<String> {
    let node = tree::parse(text).expect("parses").remove(0);
    let mut faults = Vec::new();
    check(&node, table, &mut faults);
    faults
        .into_iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect()
}

const TABLE: &[Section] = &[Section {
    at: "spec",
    rows: &[
        ("list", &[Limit::Items(1, 2), Limit::UniqueBy("name")]),
        ("list[].port", &[Limit::Range(1, 65535)]),
        ("map", &[Limit::Entries(0, 1)]),
        ("map{}", &[Limit::Length(0, 3)]),
        ("name", &[Limit::Looks(Form::Label)]),
        ("age", &[Limit::Range(1, i64::MAX)]),
    ],
}];

#[test]
fn every_limit_reports_place_value_and_what_is_right() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "spec: {list: [{name: a, port: 80}], map: {k: abc}, name: a-1, age: 1}",
            &[],
        ),
        ("spec: {list: []}", &["spec.list: has 0 items, want 1 to 2"]),
        (
            "spec: {list: [{port: 0}, {port: 70000}]}",
            &[
                "spec.list[0].port: `0` is out of range, want 1 to 65535",
                "spec.list[1].port: `70000` is out of range, want 1 to 65535",
            ],
        ),
        (
            "spec: {list: [{name: a}, {name: a}]}",
            &["spec.list[1].name: `a` is already given in spec.list[0], want each name once"],
        ),
        (
            "spec: {map: {a: '', b: ''}}",
            &["spec.map: has 2 entries, want 0 to 1"],
        ),
        (
            "spec: {map: {a.b/c: four}}",
            &["spec.map.a.b/c: has 4 characters, want 0 to 3"],
        ),
        (
            "spec: {name: A}",
            &[
                "spec.name: `A` is not a DNS label, want a-z, 0-9 and `-`, a letter or digit at both ends",
            ],
        ),
        (
            "spec: {age: 0}",
            &["spec.age: `0` is out of range, want 1 or more"],
        ),
    ];
    for (text, want) in cases {
        assert_eq!(faults(text, TABLE), want, "{text}");
    }
}

#[test]
fn forms_know_good_from_bad() {
    let cases: [(Form, &[&str], &[&str]); 10] = [
        (
            Form::Label,
            &["a", "a-1", "1"],
            &["", "-a", "a-", "A", "a.b", "a_b"],
        ),
        (
            Form::Subdomain,
            &["a", "a.b-1.c"],
            &["", ".", "a.", ".a", "A", "a..b"],
        ),
        (Form::Group, &["", "a.b"], &["A", "a."]),
        (Form::Kind, &["Pod", "a-b"], &["", "1a", "a-", "a.b"]),
        (
            Form::Hostname,
            &["a.b", "*.a"],
            &["", "*", "A.b", "10.0.0.1", "a.*"],
        ),
        (Form::ExactHostname, &["a.b"], &["*.a.b", "A"]),
        (Form::HeaderName, &["X-A", "a_b"], &["", "a b", "a:", "ä"]),
        (Form::LabelValue, &["", "a", "A_b.c-1"], &["-", "a-", "a/b"]),
        (Form::Duration, &["0s", "1m30s"], &["", "1", "1.5s"]),
        (
            Form::Origin,
            &[
                "*",
                "http://*",
                "https://a.b:80",
                "https://*.a.b",
                "http://localhost:3000",
                "http://10.0.0.1",
            ],
            &[
                "",
                "a.b",
                "ftp://a",
                "https://",
                "https://a/b",
                "https://a:99999",
                "https://a.*",
            ],
        ),
    ];
    for (form, good, bad) in cases {
        good.iter()
            .for_each(|text| assert!(form.fits(text), "{form:?} {text}"));
        bad.iter()
            .for_each(|text| assert!(!form.fits(text), "{form:?} {text}"));
    }
}

/// Limits of a definition by path, as `least..most` of each sort.
fn of_definition(schema: &tree::Node, path: &str, out: &mut BTreeMap<String, Vec<String>>) {
    let number = |key: &str| match schema.get(key).map(|node| &node.value) {
        Some(Value::Number(number)) => number.as_i64(),
        _ => None,
    };
    let pairs = [
        ("items", "minItems", "maxItems"),
        ("entries", "minProperties", "maxProperties"),
        ("length", "minLength", "maxLength"),
        ("range", "minimum", "maximum"),
    ];
    let mut found = Vec::new();
    for (name, least, most) in pairs {
        if number(least).is_some() || number(most).is_some() {
            let (least, most) = (number(least).unwrap_or(0), number(most).unwrap_or(i64::MAX));
            found.push(format!("{name} {least}..{most}"));
        }
    }
    if !found.is_empty() {
        out.insert(path.to_owned(), found);
    }
    for (key, child) in schema
        .get("properties")
        .map_or(&[][..], tree::Node::entries)
    {
        let dot = if path.is_empty() { "" } else { "." };
        of_definition(child, &format!("{path}{dot}{key}"), out);
    }
    if let Some(items) = schema.get("items") {
        of_definition(items, &format!("{path}[]"), out);
    }
    if let Some(values) = schema.get("additionalProperties") {
        of_definition(values, &format!("{path}{{}}"), out);
    }
}

fn of_table(table: &[Section]) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for section in table {
        for (path, limits) in section.rows {
            let found = limits.iter().filter_map(|limit| match limit {
                Limit::Items(least, most) => Some(format!("items {least}..{most}")),
                Limit::Entries(least, most) => Some(format!("entries {least}..{most}")),
                Limit::Length(least, most) => Some(format!("length {least}..{most}")),
                Limit::Range(least, most) => Some(format!("range {least}..{most}")),
                Limit::Looks(_) | Limit::UniqueBy(_) => None,
            });
            out.entry(format!("{}.{path}", section.at))
                .or_default()
                .extend(found);
        }
    }
    out
}

/// Paths that the definitions limit and the tables leave out, and why.
fn is_left_out(path: &str) -> bool {
    let parts = [
        ".status",
        "spec.addresses",        // not read
        "spec.infrastructure",   // for controllers that make pods
        "spec.allowedListeners", // ListenerSets are not read
        "spec.tls",              // refused as a whole
    ];
    parts
        .iter()
        .any(|part| path.starts_with(part) || path.starts_with(&part[1..]))
}

/// The data directory of the project's sources, if this machine has it.
fn definitions() -> Option<std::path::PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/crds");
    root.is_dir().then_some(root)
}

/// The largest YAML files at hand are read whole, and are nothing that plimsoll serves.
#[test]
fn definitions_themselves_are_read_and_passed_over() {
    let Some(root) = definitions() else {
        eprintln!("skipped: the custom resource definitions are not here");
        return;
    };
    let mut files = 0;
    for directory in std::fs::read_dir(root).expect("directory").flatten() {
        for file in std::fs::read_dir(directory.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            if file.file_name() == "kustomization.yaml" {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).expect("text");
            let source = crate::Source::new(file.path().display().to_string(), text);
            let (_, problems) = crate::build(&[source], &crate::Options::default());
            let errors: Vec<_> = problems
                .iter()
                .filter(|problem| problem.is_error())
                .collect();
            assert!(errors.len() == 1, "only that nothing is served: {errors:?}");
            assert!(
                problems.len() > 1,
                "each definition is passed over with a word"
            );
            files += 1;
        }
    }
    assert!(files > 10, "{files} definitions read");
}

#[test]
fn tables_say_what_the_definitions_say() {
    let Some(root) = definitions() else {
        eprintln!("skipped: the custom resource definitions are not here");
        return;
    };
    let cases = [
        (
            "gateway-api-v1.5.1-standard/gateway.networking.k8s.io_gateways.yaml",
            GATEWAY,
        ),
        (
            "gateway-api-v1.6.1-standard/gateway.networking.k8s.io_gateways.yaml",
            GATEWAY,
        ),
        (
            "gateway-api-v1.5.1-standard/gateway.networking.k8s.io_httproutes.yaml",
            ROUTE,
        ),
        (
            "gateway-api-v1.6.1-standard/gateway.networking.k8s.io_httproutes.yaml",
            ROUTE,
        ),
        (
            "gateway-api-v1.6.1-standard/gateway.networking.k8s.io_referencegrants.yaml",
            GRANT,
        ),
        (
            "gie-v1.5.0/inference.networking.k8s.io_inferencepools.yaml",
            POOL,
        ),
        (
            "gie-v1.6.0/inference.networking.k8s.io_inferencepools.yaml",
            POOL,
        ),
        (
            "gie-v1.5.0/inference.networking.x-k8s.io_inferenceobjectives.yaml",
            OBJECTIVE,
        ),
        (
            "gie-v1.5.0/inference.networking.x-k8s.io_inferencemodelrewrites.yaml",
            REWRITE,
        ),
        ("llm-d-router/llm-d.ai_inferenceobjectives.yaml", OBJECTIVE),
        ("llm-d-router/llm-d.ai_inferencemodelrewrites.yaml", REWRITE),
    ];
    for (file, table) in cases {
        let text = std::fs::read_to_string(root.join(file)).expect(file);
        let documents = tree::parse(&text).expect(file);
        let versions = documents[0]
            .get("spec")
            .and_then(|spec| spec.get("versions"))
            .expect(file);
        let schema = versions.items()[0]
            .get("schema")
            .and_then(|s| s.get("openAPIV3Schema"));
        let mut wanted = BTreeMap::new();
        of_definition(schema.expect(file), "", &mut wanted);
        let ours = of_table(table);
        for (path, limits) in wanted.iter().filter(|(path, _)| !is_left_out(path)) {
            let got = ours.get(path).cloned().unwrap_or_default();
            // A list may be shorter in the definition's words where ours bounds what it leaves open.
            let closed: Vec<String> = got.iter().map(|limit| open_end(limit, limits)).collect();
            assert_eq!(&closed, limits, "{file}: {path}");
        }
    }
}

/// Where the definition sets no upper end, ours may.
fn open_end(ours: &str, theirs: &[String]) -> String {
    let Some((least, _)) = ours.split_once("..") else {
        return ours.to_owned();
    };
    let open = format!("{least}..{}", i64::MAX);
    if theirs.contains(&open) {
        open
    } else {
        ours.to_owned()
    }
}
