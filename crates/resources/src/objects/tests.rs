use super::*;
use crate::Severity;

fn read(texts: &[&str]) -> (Objects, Vec<String>) {
    let sources: Vec<Source> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Source::new(format!("{index}.yaml"), *text))
        .collect();
    let mut report = Report::default();
    let objects = Objects::read(&sources.iter().collect::<Vec<_>>(), &mut report);
    let problems = report.finish().into_iter().map(|problem| {
        let mark = if problem.severity == Severity::Error {
            "E"
        } else {
            "W"
        };
        format!("{mark} {problem}")
    });
    (objects, problems.collect())
}

fn problems(text: &str) -> Vec<String> {
    read(&[text]).1
}

#[test]
fn unknown_fields_are_errors_with_path_and_line() {
    let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: r
  lables: {}
spec:
  rules:
  - matches:
    - path:
        value: /
        kind: Exact
    backendRef: []
    retry: {attempts: 1, code: [500]}
";
    assert_eq!(
        problems(text),
        [
            "E 0.yaml:5: HTTPRoute default/r metadata.lables: unknown field, check its spelling and indentation",
            "E 0.yaml:11: HTTPRoute default/r spec.rules[0].matches[0].path.kind: unknown field, check its spelling and indentation",
            "E 0.yaml:12: HTTPRoute default/r spec.rules[0].backendRef: unknown field, check its spelling and indentation",
            "E 0.yaml:13: HTTPRoute default/r spec.rules[0].retry.code: unknown field, check its spelling and indentation",
        ]
    );
}

#[test]
fn wrong_types_name_path_value_and_wanted_type() {
    let text =
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n  - port: '80'\n";
    assert_eq!(
        problems(text),
        [
            "E 0.yaml:6: Service default/s spec.ports[0].port: invalid type: string \"80\", expected i32"
        ]
    );
}

#[test]
fn values_of_secrets_are_never_shown() {
    for text in [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {tls.key: 'c2Vj cmV0!'}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {tls.key: {secret: secret}}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: secret\n",
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            !problems[0].contains("sec") && problems[0].contains("is not valid"),
            "{problems:?}"
        );
    }
}

#[test]
fn what_is_no_object_is_refused_with_its_line() {
    let cases = [
        ("a: [", "E 0.yaml:1: is not valid YAML"),
        ("- a\n", "E 0.yaml:1: is not an object"),
        ("a: b\n", "E 0.yaml:1: has no apiVersion and kind"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
            "E 0.yaml:3: Pod metadata.name: is missing",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: A}\nspec: {containers: []}\n",
            "metadata.name: `A` is not an object name",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
            "E 0.yaml:1: Pod default/a spec: is missing",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: HTTPRoute\nmetadata: {name: a}\n",
            "want version v1, v1beta1",
        ),
    ];
    for (text, want) in cases {
        let problems = problems(text);
        assert!(
            problems.len() == 1 && problems[0].contains(want),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn kinds_that_are_not_read_are_a_warning() {
    let text =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: n}\nspec: {x: y}\n";
    assert_eq!(
        problems(text),
        [
            "W 0.yaml:2: Deployment n/d kind: ignored: apps/v1 Deployment is not a kind that plimsoll reads"
        ]
    );
    // Istio has a kind of that name too.
    let text = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n";
    assert!(problems(text)[0].starts_with("W "));
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: g}\nspec: {controllerName: a.b/c}\n";
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn an_object_given_twice_names_both_places() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {}\n";
    let (_, problems) = read(&[service, &format!("# comment\n---\n{service}")]);
    assert_eq!(
        problems,
        ["E 1.yaml:3: Service default/s: is defined twice, first at 0.yaml:1; keep one of them"]
    );
    let other = service.replace("{name: s}", "{name: s, namespace: other}");
    assert!(read(&[service, &other]).1.is_empty());
}

#[test]
fn lists_hold_objects() {
    let text = r#"{"apiVersion": "v1", "kind": "List", "items": [
      {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {}},
      {"apiVersion": "v1", "kind": "PodList", "items": [
        {"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"podIP": "10.0.0.1", "newField": 1}}]}]}"#;
    let (objects, problems) = read(&[text]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((objects.services.len(), objects.pods.len()), (1, 1));
    assert_eq!(
        objects.pods[0].spec.status.pod_ip.as_deref(),
        Some("10.0.0.1")
    );
}

#[test]
fn endpoint_files_are_known_by_their_key() {
    let text = "\
endpoints:
- {name: a, address: 10.0.0.1, port: '8000', labels: {app: vllm}}
- {name: b, namespace: n, address: gpu.example, port: 9000}
- {name: c, address: 10.0.0.1, port: '0'}
- {name: a, address: 10.0.0.2, port: '8000'}
- {name: d, address: 'not a host', port: '1', weight: 1}
- {name: e}
";
    let (objects, problems) = read(&[text]);
    let names: Vec<&str> = objects.endpoints.iter().map(|e| &*e.spec.name).collect();
    assert_eq!(names, ["default/a", "n/b"]);
    assert_eq!(
        problems,
        [
            "E 0.yaml:4: endpoints[2].port: is not a port, want a number from 1 to 65535",
            "E 0.yaml:5: endpoints[3].name: endpoint `default/a` is already in this file, want each once",
            "E 0.yaml:6: endpoints[4].address: `not a host` is neither an IP address nor a DNS name",
            "E 0.yaml:6: endpoints[4].weight: unknown field, check its spelling and indentation",
            "E 0.yaml:7: endpoints[5]: missing field `address`",
        ]
    );
}

#[test]
fn both_versions_of_a_pool_are_read() {
    let (objects, problems) = read(&["\
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: a}
spec: {selector: {matchLabels: {app: x}}, targetPorts: [{number: 8000}, {number: 8001}], appProtocol: kubernetes.io/h2c}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: {name: b}
spec: {selector: {app: x}, targetPortNumber: 8000, extensionRef: {name: epp}}
"]);
    assert_eq!(problems, Vec::<String>::new());
    let ports: Vec<_> = objects
        .pools
        .iter()
        .map(|pool| pool.spec.target_ports.clone())
        .collect();
    assert_eq!(ports, [vec![8000, 8001], vec![8000]]);
    assert_eq!(objects.pools[0].spec.app_protocol, crate::AppProtocol::H2c);
}

#[test]
fn limits_and_rules_of_pools_hold() {
    let pool = |spec: &str| {
        let head =
            "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: a}";
        problems(&format!("{head}\nspec: {spec}\n"))
    };
    let cases = [
        (
            "{selector: {matchLabels: {}}, targetPorts: [{number: 1}]}",
            "spec.selector.matchLabels: has 0 entries, want 1 to 64",
        ),
        (
            "{selector: {matchLabels: {a: b}}, targetPorts: []}",
            "spec.targetPorts: has 0 items, want 1 to 8",
        ),
        (
            "{selector: {matchLabels: {a: b}}, targetPorts: [{number: 1}, {number: 1}]}",
            "spec.targetPorts[1].number: `1` is already given in spec.targetPorts[0]",
        ),
        (
            "{selector: {matchLabels: {a: b}}, targetPorts: [{number: 0}]}",
            "spec.targetPorts[0].number: `0` is out of range, want 1 to 65535",
        ),
        (
            "{selector: {matchLabels: {a: b}}, targetPorts: [{number: 1}], appProtocol: h2c}",
            "spec.appProtocol: unknown variant `h2c`, expected `http` or `kubernetes.io/h2c`",
        ),
        (
            "{selector: {matchLabels: {a: b}}, targetPorts: [{number: 1}], endpointPickerRef: {name: epp}}",
            "spec.endpointPickerRef.port: is missing, want a port for kind Service",
        ),
        (
            "{selector: {a: b}, targetPorts: [{number: 1}]}",
            "spec.selector.a: unknown field",
        ),
    ];
    for (spec, want) in cases {
        let problems = pool(spec);
        assert!(
            problems.iter().any(|problem| problem.contains(want)),
            "{spec}: {problems:?}"
        );
    }
}
