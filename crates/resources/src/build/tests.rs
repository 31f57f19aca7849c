mod listeners;
mod pools;
mod routes;
mod services;
mod standalone;

use super::build;
use crate::{Options, Problem, Route, Rule, Snapshot, Source};
use std::sync::Arc;

/// A Gateway with one listener that lets every namespace in.
const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: plimsoll
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
";

/// A pool without pods.
const POOL: &str = "\
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: pool}
spec: {selector: {matchLabels: {app: vllm}}, targetPorts: [{number: 8000}]}
";

/// Builds one source out of several documents.
fn built(documents: &[&str]) -> (Snapshot, Vec<Problem>) {
    let source = Source::new("t.yaml", documents.join("\n---\n"));
    build(&[source], &Options::default())
}

/// Builds documents that must have no problem at all.
fn clean(documents: &[&str]) -> Snapshot {
    let (snapshot, problems) = built(documents);
    assert!(problems.is_empty(), "{}", show(&problems));
    snapshot
}

fn show(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{} {problem}\n", problem.severity))
        .collect()
}

/// Fails unless exactly one problem has this severity (`error`, `warning`), path and words.
fn assert_problem(documents: &[&str], severity: &str, path: &str, words: &str) {
    let (_, problems) = built(documents);
    let fits = |problem: &&Problem| {
        problem.severity.to_string() == severity
            && problem.path == path
            && problem.message.contains(words)
    };
    let count = problems.iter().filter(fits).count();
    assert_eq!(
        count,
        1,
        "want one {severity} at {path} saying `{words}`, got:\n{}",
        show(&problems)
    );
}

/// An HTTPRoute `r` on the Gateway, with these rules in flow style.
fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r}}\n\
         spec: {{parentRefs: [{{name: gw}}], rules: {rules}}}\n"
    )
}

/// The route that the only listener carries.
fn only_route(snapshot: &Snapshot) -> &Arc<Route> {
    assert_eq!(snapshot.listeners.len(), 1);
    assert_eq!(snapshot.listeners[0].routes.len(), 1);
    &snapshot.listeners[0].routes[0].route
}

/// The only rule of the only route.
fn only_rule(snapshot: &Snapshot) -> &Rule {
    let route = only_route(snapshot);
    assert_eq!(route.rules.len(), 1);
    &route.rules[0]
}

#[test]
fn order_of_sources_does_not_matter() {
    let route = route(
        "[{backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]}]",
    );
    let sources: Vec<Source> = [GATEWAY, POOL, &route]
        .into_iter()
        .map(|text| Source::new("t.yaml", text))
        .collect();
    let reversed: Vec<Source> = sources.iter().rev().cloned().collect();
    let options = Options::default();
    let one = format!("{:?}", build(&sources, &options));
    assert_eq!(one, format!("{:?}", build(&reversed, &options)));
}

#[test]
fn problems_come_in_order_each_once() {
    let bad =
        route("[{backendRefs: [{name: gone, port: 80, weight: -1}, {name: gone, port: 80}]}]");
    let (_, problems) = built(&[GATEWAY, &bad]);
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (problem.line, &problem.path))
        .collect();
    let mut sorted = places.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(places, sorted, "{}", show(&problems));
    assert_eq!(problems.len(), 3, "{}", show(&problems));
}

#[test]
fn a_broken_object_is_reported_where_it_is_broken_only() {
    let pool = POOL.replace("number: 8000", "number: many");
    let route = route(
        "[{backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]}]",
    );
    let objective = "apiVersion: llm-d.ai/v1alpha2\nkind: InferenceObjective\nmetadata: {name: o}\nspec: {poolRef: {name: pool}}";
    let (_, problems) = built(&[GATEWAY, &pool, &route, objective]);
    assert_eq!(problems.len(), 1, "{}", show(&problems));
    assert_eq!(problems[0].path, "spec.targetPorts[0].number");
    let gateway = GATEWAY.replace("port: 80", "port: x");
    let (_, problems) = built(&[&gateway, POOL, &route]);
    assert_eq!(problems.len(), 1, "{}", show(&problems));
}

#[test]
fn model_mappings_come_from_both_labels_and_the_oldest_wins() {
    let map = |name: &str, label: &str, base: &str, adapters: &str, time: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{{label}: 'true'}}, creationTimestamp: '{time}'}}\n\
             data:\n  baseModel: {base}\n  adapters: |\n    {adapters}\n"
        )
    };
    let (gie, llmd) = (
        "inference.networking.k8s.io/bbr-managed",
        "inference.llm-d.ai/ipp-managed",
    );
    let maps = [
        map(
            "a",
            gie,
            "' llama '",
            "- food\n    - ' travel '\n    - ''",
            "2026-01-02T00:00:00Z",
        ),
        map(
            "b",
            llmd,
            "qwen",
            "- food\n    - code",
            "2026-01-01T00:00:00Z",
        ),
        map("c", "other", "no", "- no", "2026-01-01T00:00:00Z"),
    ];
    let pool = [GATEWAY, &maps[0], &maps[1], &maps[2]];
    let (snapshot, problems) = built(&pool);
    let of = |model: &str| {
        snapshot
            .base_models
            .base_of(model)
            .map(|base| base.to_string())
    };
    assert_eq!(of("food").as_deref(), Some("qwen"), "b is older");
    assert_eq!(of("travel").as_deref(), Some("llama"));
    assert_eq!(of("llama").as_deref(), Some("llama"));
    assert_eq!(of("no"), None);
    assert_eq!(snapshot.base_models.len(), 5);
    assert_eq!(problems.len(), 1, "{}", show(&problems));
    assert!(
        problems[0]
            .message
            .contains("`food` already belongs to base model `qwen`")
    );

    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {inference.llm-d.ai/ipp-managed: 'true'}}\ndata: ";
    assert_problem(
        &[GATEWAY, &format!("{bad}{{baseModel: ' '}}")],
        "error",
        "data.baseModel",
        "missing or blank",
    );
    assert_problem(
        &[
            GATEWAY,
            &format!("{bad}{{baseModel: a, adapters: '{{a: b}}'}}"),
        ],
        "error",
        "data.adapters",
        "not a YAML list",
    );
}

#[test]
fn a_summary_counts_and_lists() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: vllm}}\nspec: {containers: []}\nstatus: {podIP: 10.0.0.1}";
    let route = route(
        "[{backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]}]",
    );
    let snapshot = clean(&[GATEWAY, POOL, pod, &route]);
    let text = snapshot.summary().to_string();
    let want = "1 listener, 1 route, 1 rule, 1 pool, 1 ready endpoint, 0 mapped model names\n\
                listener default/gw http: http port 80, host *, 1 route\n\
                \x20 route default/r, host *\n\
                \x20   rule 0: prefix / -> pool default/pool\n\
                pool default/pool: 1 ready endpoint, 0 not ready, 0 objectives, 0 rewrite rules\n";
    assert_eq!(text, want);
}

#[test]
fn debug_output_shows_no_secrets() {
    let rules = "[{matches: [{headers: [{name: authorization, value: hush}]}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: authorization, value: hush}]}}]}]";
    let (snapshot, _) = built(&[GATEWAY, &route(rules)]);
    let text = format!("{snapshot:?}");
    assert!(
        text.contains("authorization") && !text.contains("hush"),
        "{text}"
    );
}

/// Whatever a file is cut down to while it is being written, there is an answer and no panic.
#[test]
fn half_written_files_are_answered() {
    let route = route(
        "[{matches: [{path: {type: RegularExpression, value: '/a(b|c)'}}, {headers: [{name: x, value: y}]}], \
         filters: [{type: CORS, cors: {allowOrigins: ['https://*.a']}}, {type: URLRewrite, urlRewrite: {hostname: h}}], \
         timeouts: {request: 1s}, backendRefs: [{name: s, port: 80, weight: 2}]}]",
    );
    let text = [
        GATEWAY,
        POOL,
        &route,
        "endpoints: [{name: a, address: h, port: '1'}]",
    ]
    .join("\n---\n");
    for end in 0..text.len() {
        let source = Source::new("t.yaml", &text[..end]);
        let (_, problems) = build(&[source], &Options::default());
        assert!(problems.iter().all(|problem| !problem.message.is_empty()));
    }
}
