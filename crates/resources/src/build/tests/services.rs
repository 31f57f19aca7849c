use super::{GATEWAY, assert_problem, built, clean, only_rule, route, show};
use crate::{AppProtocol, BackendTarget, Scheme, Service, Snapshot};
use std::sync::Arc;

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 3000}]}]}
status: {podIP: 10.0.0.1}
";

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}")
}

fn slice(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}, labels: {{kubernetes.io/service-name: web}}}}\naddressType: IPv4\n{rest}"
    )
}

fn to_port(port: u16) -> String {
    route(&format!("[{{backendRefs: [{{name: web, port: {port}}}]}}]"))
}

fn backend(snapshot: &Snapshot) -> Arc<Service> {
    match &only_rule(snapshot).backends[0].target {
        BackendTarget::Service(service) => Arc::clone(service),
        other => panic!("not a service: {other:?}"),
    }
}

fn addresses(snapshot: &Snapshot) -> Vec<String> {
    backend(snapshot)
        .endpoints
        .iter()
        .map(|endpoint| endpoint.authority())
        .collect()
}

#[test]
fn selected_pods_serve_when_there_are_no_slices() {
    let cases = [
        (
            "{selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}",
            vec!["10.0.0.1:8080"],
        ),
        (
            "{selector: {app: web}, ports: [{port: 80}]}",
            vec!["10.0.0.1:80"],
        ),
        (
            "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}",
            vec!["10.0.0.1:3000"],
        ),
        (
            "{selector: {app: web}, ports: [{port: 80, targetPort: gone}]}",
            vec![],
        ),
        ("{selector: {app: other}, ports: [{port: 80}]}", vec![]),
        ("{ports: [{port: 80}]}", vec![]),
    ];
    for (spec, want) in cases {
        let snapshot = clean(&[GATEWAY, &service(spec), POD, &to_port(80)]);
        assert_eq!(addresses(&snapshot), want, "{spec}");
    }
}

#[test]
fn slices_go_before_pods() {
    let spec =
        "{selector: {app: web}, ports: [{name: a, port: 80, targetPort: 1}, {name: b, port: 81}]}";
    let first = slice(
        "s1",
        "ports: [{name: a, port: 8000}, {name: b, port: 8001}]\nendpoints:\n\
         - {addresses: [10.1.0.1], targetRef: {kind: Pod, name: p1}}\n\
         - {addresses: [10.1.0.2], conditions: {ready: false}}\n\
         - {addresses: [10.1.0.3], conditions: {ready: true}}\n",
    );
    let second = slice(
        "s2",
        "ports: [{name: a, port: 9000}]\nendpoints: [{addresses: [10.1.0.4, 10.1.0.5]}]",
    );
    let on = |port| {
        addresses(&clean(&[
            GATEWAY,
            &service(spec),
            POD,
            &first,
            &second,
            &to_port(port),
        ]))
    };
    assert_eq!(on(80), ["10.1.0.3:8000", "10.1.0.4:9000", "10.1.0.1:8000"]);
    assert_eq!(on(81), ["10.1.0.3:8001", "10.1.0.1:8001"]);
}

#[test]
fn app_protocol_says_what_endpoints_speak() {
    let cases = [
        ("", AppProtocol::Http1, Scheme::Http),
        (", appProtocol: http", AppProtocol::Http1, Scheme::Http),
        (
            ", appProtocol: kubernetes.io/h2c",
            AppProtocol::H2c,
            Scheme::Http,
        ),
        (", appProtocol: https", AppProtocol::Http1, Scheme::Https),
    ];
    for (extra, protocol, scheme) in cases {
        let spec = format!("{{selector: {{app: web}}, ports: [{{port: 80{extra}}}]}}");
        let snapshot = clean(&[GATEWAY, &service(&spec), POD, &to_port(80)]);
        let service = backend(&snapshot);
        assert_eq!(
            (service.app_protocol, service.endpoints[0].scheme),
            (protocol, scheme),
            "{extra}"
        );
    }
}

#[test]
fn services_that_cannot_be_used_keep_their_share() {
    let good = "{selector: {app: web}, ports: [{port: 80}]}";
    let cases = [
        (good, 81, "has no port 81, only 80"),
        (
            "{type: ExternalName, externalName: a.example}",
            80,
            "is of type ExternalName",
        ),
        (
            "{ports: [{port: 80, appProtocol: mongo}]}",
            80,
            "appProtocol `mongo`",
        ),
        ("{ports: [{port: 80, protocol: UDP}]}", 80, "is not TCP"),
    ];
    for (spec, port, words) in cases {
        let documents = [GATEWAY, &service(spec), POD, &to_port(port)];
        assert_problem(&documents, "warning", "spec.rules[0].backendRefs[0]", words);
        let (snapshot, problems) = built(&documents);
        assert!(
            problems.iter().all(|problem| !problem.is_error()),
            "{}",
            show(&problems)
        );
        let backend = &only_rule(&snapshot).backends[0];
        assert!(matches!(backend.target, BackendTarget::Invalid(_)) && backend.weight == 1);
    }
    assert_problem(
        &[GATEWAY, &to_port(80)],
        "warning",
        "spec.rules[0].backendRefs[0]",
        "Service default/web is not among the manifests",
    );
}

#[test]
fn rules_share_one_service() {
    let rules = route("[{backendRefs: [{name: web, port: 80}, {name: web, port: 80}]}]");
    let snapshot = clean(&[GATEWAY, &service("{ports: [{port: 80}]}"), &rules]);
    let targets: Vec<_> = only_rule(&snapshot)
        .backends
        .iter()
        .map(|b| b.target.clone())
        .collect();
    assert!(
        matches!(&targets[..], [BackendTarget::Service(a), BackendTarget::Service(b)] if Arc::ptr_eq(a, b))
    );
}
