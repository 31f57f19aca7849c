use super::{assert_problem, built, clean, show};
use crate::{ListenerProtocol, Snapshot};

fn gateway(listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\n\
         spec: {{gatewayClassName: plimsoll, listeners: [{listeners}]}}"
    )
}

fn route(meta: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{{meta}}}\n\
         spec: {{{spec}, rules: [{{filters: [{{type: RequestRedirect, requestRedirect: {{scheme: https}}}}]}}]}}"
    )
}

/// `listener: route [hostnames], ...` for each listener.
fn attached(snapshot: &Snapshot) -> Vec<String> {
    let of = |listener: &crate::Listener| {
        let routes: Vec<String> = listener
            .routes
            .iter()
            .map(|attached| {
                let hosts: Vec<_> = attached.hostnames.iter().map(ToString::to_string).collect();
                format!("{} [{}]", attached.route.name.name, hosts.join(" "))
            })
            .collect();
        format!("{}: {}", listener.name, routes.join(", "))
    };
    snapshot.listeners.iter().map(of).collect()
}

const TWO: &str = "{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTP}";

#[test]
fn routes_attach_by_section_and_port() {
    let cases = [
        ("{name: gw}", vec!["a: r []", "b: r []"]),
        ("{name: gw, sectionName: b}", vec!["a: ", "b: r []"]),
        ("{name: gw, port: 80}", vec!["a: r []", "b: "]),
        (
            "{name: gw, sectionName: a}, {name: gw, sectionName: b}",
            vec!["a: r []", "b: r []"],
        ),
        (
            "{name: gw, group: gateway.networking.k8s.io, kind: Gateway, namespace: default}",
            vec!["a: r []", "b: r []"],
        ),
    ];
    for (references, want) in cases {
        let route = route("name: r", &format!("parentRefs: [{references}]"));
        assert_eq!(
            attached(&clean(&[&gateway(TWO), &route])),
            want,
            "{references}"
        );
    }
}

#[test]
fn routes_that_attach_to_nothing_say_why() {
    let cases = [
        ("parentRefs: []", "spec.parentRefs", "attaches to nothing"),
        ("hostnames: [a.b]", "spec.parentRefs", "attaches to nothing"),
        (
            "parentRefs: [{name: gone}]",
            "spec.parentRefs[0]",
            "Gateway default/gone is not among the manifests",
        ),
        (
            "parentRefs: [{name: gw, sectionName: c}]",
            "spec.parentRefs[0].sectionName",
            "has no listener named c; it has a (port 80), b (port 81)",
        ),
        (
            "parentRefs: [{name: gw, port: 82}]",
            "spec.parentRefs[0].port",
            "has no listener on port 82",
        ),
        (
            "parentRefs: [{name: s, kind: Service, group: ''}]",
            "spec.parentRefs[0].kind",
            "cannot be a parent",
        ),
    ];
    for (spec, path, words) in cases {
        assert_problem(
            &[&gateway(TWO), &route("name: r", spec)],
            "warning",
            path,
            words,
        );
    }
    let other = route(
        "name: r, namespace: n",
        "parentRefs: [{name: gw, namespace: default}]",
    );
    assert_problem(
        &[&gateway(TWO), &other],
        "warning",
        "spec.parentRefs[0]",
        "allows routes of namespace default only",
    );
}

#[test]
fn parents_are_distinct() {
    let cases = [
        (
            "{name: gw}, {name: gw}",
            "spec.parentRefs[1]",
            "want each once",
        ),
        (
            "{name: gw}, {name: gw, namespace: default}",
            "spec.parentRefs[1]",
            "want each once",
        ),
        (
            "{name: gw, sectionName: a}, {name: gw}",
            "spec.parentRefs[1]",
            "in all of them or in none",
        ),
    ];
    for (references, path, words) in cases {
        let route = route("name: r", &format!("parentRefs: [{references}]"));
        assert_problem(&[&gateway(TWO), &route], "error", path, words);
    }
}

#[test]
fn hostnames_are_intersected() {
    let cases = [
        ("", "", "a: r []"),
        ("", "hostnames: [x.example.com]", "a: r [x.example.com]"),
        (", hostname: x.example.com", "", "a: r [x.example.com]"),
        (
            ", hostname: '*.example.com'",
            "hostnames: [x.example.com, y.test, '*.y.example.com']",
            "a: r [x.example.com *.y.example.com]",
        ),
        (
            ", hostname: x.example.com",
            "hostnames: ['*.example.com', '*.com']",
            "a: r [x.example.com]",
        ),
    ];
    for (listener, route_part, want) in cases {
        let gateway = gateway(&format!("{{name: a, port: 80, protocol: HTTP{listener}}}"));
        let spec = format!(
            "parentRefs: [{{name: gw}}]{}{route_part}",
            if route_part.is_empty() { "" } else { ", " }
        );
        assert_eq!(
            attached(&clean(&[&gateway, &route("name: r", &spec)])),
            [want]
        );
    }
    let gateway = gateway("{name: a, port: 80, protocol: HTTP, hostname: a.test}");
    let route = route("name: r", "parentRefs: [{name: gw}], hostnames: [b.test]");
    assert_problem(
        &[&gateway, &route],
        "warning",
        "spec.parentRefs[0]",
        "serves hostname a.test, which no hostname of the route meets",
    );
}

#[test]
fn listeners_choose_namespaces_and_kinds() {
    let of = |allowed: &str, documents: &[&str]| {
        let gateway = gateway(&format!(
            "{{name: a, port: 80, protocol: HTTP, allowedRoutes: {allowed}}}"
        ));
        let route = route(
            "name: r, namespace: n",
            "parentRefs: [{name: gw, namespace: default}]",
        );
        let mut all = vec![gateway.as_str(), &route];
        all.extend(documents);
        let (snapshot, problems) = built(&all);
        assert!(
            problems.iter().all(|problem| !problem.is_error()),
            "{}",
            show(&problems)
        );
        attached(&snapshot) == ["a: r []"]
    };
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {team: x}}";
    let selector =
        |selector: &str| format!("{{namespaces: {{from: Selector, selector: {selector}}}}}");
    assert!(of("{namespaces: {from: All}}", &[]));
    assert!(!of("{namespaces: {from: Same}}", &[]));
    assert!(!of("{}", &[]));
    assert!(of(&selector("{matchLabels: {team: x}}"), &[namespace]));
    assert!(!of(&selector("{matchLabels: {team: y}}"), &[namespace]));
    assert!(
        !of(&selector("{matchLabels: {team: x}}"), &[]),
        "labels of an unknown namespace"
    );
    assert!(of(
        &selector("{matchLabels: {kubernetes.io/metadata.name: n}}"),
        &[]
    ));
    assert!(of(
        &selector("{matchLabels: {kubernetes.io/metadata.name: n}}"),
        &[namespace]
    ));
    assert!(
        of(&selector("{}"), &[]),
        "an empty selector selects everything"
    );
    for (expression, want) in [
        ("{key: team, operator: In, values: [x, z]}", true),
        ("{key: team, operator: In, values: [z]}", false),
        ("{key: team, operator: NotIn, values: [z]}", true),
        ("{key: other, operator: NotIn, values: [z]}", true),
        ("{key: team, operator: NotIn, values: [x]}", false),
        ("{key: team, operator: Exists}", true),
        ("{key: other, operator: Exists}", false),
        ("{key: other, operator: DoesNotExist}", true),
    ] {
        let allowed = selector(&format!("{{matchExpressions: [{expression}]}}"));
        assert_eq!(of(&allowed, &[namespace]), want, "{expression}");
    }
    assert!(!of(
        "{namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}",
        &[]
    ));
    assert!(of(
        "{namespaces: {from: All}, kinds: [{kind: GRPCRoute}, {kind: HTTPRoute}]}",
        &[]
    ));

    let bad = gateway(
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Is}]}}}}",
    );
    assert_problem(
        &[&bad],
        "error",
        "spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].operator",
        "`Is` is not an operator",
    );
}

#[test]
fn faults_of_listeners_are_found() {
    let http = "port: 80, protocol: HTTP";
    let cases = [
        (format!("{{name: a, {http}}}, {{name: a, port: 81, protocol: HTTP}}"), "error", "spec.listeners[1].name", "`a` is already given in spec.listeners[0]"),
        (format!("{{name: a, {http}}}, {{name: b, {http}}}"), "error", "spec.listeners[1]", "want each combination once"),
        ("{name: a, port: 0, protocol: HTTP}".to_owned(), "error", "spec.listeners[0].port", "`0` is out of range"),
        ("{name: A, port: 80, protocol: HTTP}".to_owned(), "error", "spec.listeners[0].name", "`A` is not a DNS name"),
        (format!("{{name: a, {http}, hostname: '*'}}"), "error", "spec.listeners[0].hostname", "`*` is not a hostname"),
        (format!("{{name: a, {http}, tls: {{}}}}"), "error", "spec.listeners[0].tls", "does not belong to protocol HTTP"),
        ("{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough, certificateRefs: [{name: c}]}}".to_owned(), "error", "spec.listeners[0].tls.mode", "want Terminate"),
        ("{name: a, port: 443, protocol: HTTPS, tls: {}}".to_owned(), "error", "spec.listeners[0].tls.certificateRefs", "is missing or empty"),
        ("{name: a, port: 443, protocol: HTTPS}".to_owned(), "warning", "spec.listeners[0].tls", "the listener is left out"),
        ("{name: a, port: 443, protocol: TLS}".to_owned(), "warning", "spec.listeners[0].protocol", "`TLS` is not supported"),
        (String::new(), "error", "spec.listeners", "has 0 items, want 1 to 64"),
    ];
    for (listeners, severity, path, words) in cases {
        assert_problem(&[&gateway(&listeners)], severity, path, words);
    }
    let with = |extra: &str| {
        gateway(TWO).replace(
            "gatewayClassName: plimsoll",
            &format!("gatewayClassName: plimsoll, {extra}"),
        )
    };
    assert_problem(
        &[&with("tls: {frontend: {default: {}}}")],
        "error",
        "spec.tls.frontend",
        "client certificates are not checked",
    );
    assert_problem(
        &[&with("addresses: [{value: 10.0.0.1}]")],
        "warning",
        "spec.addresses",
        "is ignored",
    );
}

#[test]
fn listeners_of_two_gateways_share_a_port() {
    let other = |listeners: &str| gateway(listeners).replace("name: gw", "name: gw2");
    let a = gateway("{name: a, port: 80, protocol: HTTP, hostname: a.test}");
    let snapshot = clean(&[
        &a,
        &other("{name: b, port: 80, protocol: HTTP, hostname: b.test}"),
    ]);
    assert_eq!(snapshot.listeners.len(), 2);
    let twin = other("{name: b, port: 80, protocol: HTTP, hostname: a.test}");
    assert_problem(
        &[&a, &twin],
        "warning",
        "spec.listeners[0]",
        "their routes are merged",
    );
    let mixed = other(
        "{name: b, port: 80, protocol: HTTPS, hostname: b.test, tls: {certificateRefs: [{name: gone}]}}",
    );
    assert_problem(
        &[&a, &mixed],
        "warning",
        "spec.listeners[0].port",
        "with protocol HTTPS; both are left out",
    );
}

const PEM: [&str; 2] = ["CERTIFICATE", "PRIVATE KEY"];

/// A PEM block around bytes that nobody parses here.
fn block(label: &str) -> String {
    format!("-----BEGIN {label}-----\\nAAAA\\n-----END {label}-----\\n")
}

fn secret(meta: &str, chain: &str, key: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{{meta}}}\nstringData: {{tls.crt: \"{chain}\", tls.key: \"{key}\"}}"
    )
}

#[test]
fn certificates_come_from_secrets() {
    let of = |reference: &str| {
        gateway(&format!(
            "{{name: s, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{reference}]}}}}"
        ))
    };
    let (chain, key) = (block(PEM[0]), block(PEM[1]));
    let good = secret("name: c", &chain, &key);
    let snapshot = clean(&[&of("{name: c}"), &good]);
    assert_eq!(snapshot.listeners[0].protocol, ListenerProtocol::Https);
    assert!(
        snapshot.listeners[0].tls[0]
            .cert_chain_pem
            .starts_with(b"-----BEGIN CERTIFICATE-----\n")
    );
    let text = format!("{snapshot:?}");
    assert!(
        !text.contains("AAAA") && !text.contains("65, 65, 65"),
        "{text}"
    );

    let encoded = "apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=, tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCkFBQUEKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=}";
    assert_eq!(
        clean(&[&of("{name: c}"), encoded]).listeners[0].tls,
        snapshot.listeners[0].tls
    );

    let reference = "spec.listeners[0].tls.certificateRefs[0]";
    let cases = [
        (
            "{name: gone}",
            good.clone(),
            "Secret default/gone is not among the manifests",
        ),
        ("{name: c, kind: ConfigMap}", good, "want a core Secret"),
        (
            "{name: c}",
            secret("name: c", "", &key),
            "`tls.crt` holds no certificate",
        ),
        (
            "{name: c}",
            secret("name: c", &chain, "x"),
            "`tls.key` holds no private key",
        ),
        (
            "{name: c}",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: c}\n".to_owned(),
            "has no `tls.crt`",
        ),
        (
            "{name: c, namespace: n}",
            secret("name: c, namespace: n", &chain, &key),
            "no ReferenceGrant lets Gateway of namespace default",
        ),
    ];
    for (name, secret, words) in cases {
        assert_problem(&[&of(name), &secret], "warning", reference, words);
        assert!(
            built(&[&of(name), &secret]).0.listeners.is_empty(),
            "left out: {words}"
        );
    }
    let grant = "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: n}\n\
        spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}], to: [{group: '', kind: Secret}]}";
    clean(&[
        &of("{name: c, namespace: n}"),
        &secret("name: c, namespace: n", &chain, &key),
        grant,
    ]);
}

#[test]
fn a_route_is_not_blamed_for_its_listener() {
    let gateway = gateway("{name: s, port: 443, protocol: TLS}");
    let (_, problems) = built(&[&gateway, &route("name: r", "parentRefs: [{name: gw}]")]);
    assert_eq!(problems.len(), 1, "{}", show(&problems));
}
