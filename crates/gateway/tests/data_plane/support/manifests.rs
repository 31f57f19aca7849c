//! Manifests over endpoints on this machine.

use std::fmt::Write as _;

/// A Gateway with these listeners, in YAML flow style.
pub fn gateway(listeners: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: default}}
spec: {{gatewayClassName: plimsoll, listeners: [{listeners}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: local, namespace: default, labels: {{app: local}}}}
spec: {{containers: [{{name: server}}]}}
status: {{podIP: 127.0.0.1}}
"
    )
}

/// The Gateway most tests need.
pub fn http() -> String {
    gateway("{name: http, port: 80, protocol: HTTP}")
}

/// An InferencePool of the local Pod, one endpoint per port; `extra` joins its spec.
pub fn pool_with(name: &str, ports: &[u16], extra: &str) -> String {
    let ports: Vec<_> = ports
        .iter()
        .map(|port| format!("{{number: {port}}}"))
        .collect();
    format!(
        "
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {{name: {name}, namespace: default}}
spec: {{selector: {{matchLabels: {{app: local}}}}, targetPorts: [{}], endpointPickerRef: {{name: picker, port: {{number: 9002}}}}{extra}}}
",
        ports.join(", ")
    )
}

pub fn pool(name: &str, ports: &[u16]) -> String {
    pool_with(name, ports, "")
}

/// A Service on port 80 with one endpoint per port; `extra` joins its port.
pub fn service_with(name: &str, ports: &[u16], extra: &str) -> String {
    let mut text = format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{ports: [{{name: main, port: 80{extra}}}]}}
"
    );
    for port in ports {
        let _ = write!(
            text,
            "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{port}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: main, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
        );
    }
    text
}

pub fn service(name: &str, ports: &[u16]) -> String {
    service_with(name, ports, "")
}

/// An HTTPRoute with these rules, in YAML flow style; `extra` joins its spec.
pub fn route_with(name: &str, rules: &str, extra: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec: {{parentRefs: [{{name: edge}}], rules: [{rules}]{extra}}}
"
    )
}

pub fn route(rules: &str) -> String {
    route_with("all", rules, "")
}

/// A reference to a pool.
pub fn to_pool(name: &str) -> String {
    format!("{{group: inference.networking.k8s.io, kind: InferencePool, name: {name}}}")
}

/// A reference to a Service.
pub fn to_service(name: &str) -> String {
    format!("{{name: {name}, port: 80}}")
}

/// Everything for one pool behind a catch-all route; `rule` joins the rule.
pub fn one_pool(ports: &[u16], rule: &str) -> String {
    [
        http(),
        pool("chat", ports),
        route(&format!("{{backendRefs: [{}]{rule}}}", to_pool("chat"))),
    ]
    .concat()
}

/// Everything for one Service behind a catch-all route; `rule` joins the rule.
pub fn one_service(ports: &[u16], rule: &str) -> String {
    [
        http(),
        service("web", ports),
        route(&format!("{{backendRefs: [{}]{rule}}}", to_service("web"))),
    ]
    .concat()
}

/// An InferenceModelRewrite of the pool `chat`.
pub fn rewrite(from: &str, to: &str) -> String {
    format!(
        "
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModelRewrite
metadata: {{name: canary, namespace: default}}
spec: {{poolRef: {{name: chat}}, rules: [{{matches: [{{model: {{value: {from}}}}}], targets: [{{modelRewrite: {to}, weight: 1}}]}}]}}
"
    )
}

/// A Secret with a certificate.
pub fn secret(name: &str, certificate: &super::tls::Certificate) -> String {
    format!(
        "
---
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{name: {name}, namespace: default}}
stringData: {{tls.crt: {:?}, tls.key: {:?}}}
",
        certificate.chain_pem, certificate.key_pem
    )
}
