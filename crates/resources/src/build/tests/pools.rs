use super::{GATEWAY, POOL, assert_problem, built, clean, show};
use crate::{ObjectName, Pool, Snapshot};

fn pod(meta: &str, status: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{{meta}, labels: {{app: vllm, extra: x}}}}\nspec: {{containers: []}}\nstatus: {status}"
    )
}

fn pool(snapshot: &Snapshot) -> &Pool {
    &snapshot.pools[&ObjectName::new("default", "pool")]
}

fn endpoints(snapshot: &Snapshot) -> Vec<String> {
    let of = |e: &crate::EndpointSpec| format!("{} {} {}", e.name, e.authority(), e.rank);
    pool(snapshot).endpoints.iter().map(of).collect()
}

#[test]
fn pods_give_an_endpoint_for_each_port() {
    let ports = POOL.replace("[{number: 8000}]", "[{number: 8000}, {number: 8001}]");
    let a = pod("name: a", "{podIP: 10.0.0.1}");
    let b = pod(
        "name: b",
        "{podIP: 'fd00::1', phase: Running, conditions: [{type: Ready, status: 'True'}]}",
    );
    let snapshot = clean(&[GATEWAY, &ports, &b, &a]);
    assert_eq!(
        endpoints(&snapshot),
        [
            "default/a-rank-0 10.0.0.1:8000 0",
            "default/a-rank-1 10.0.0.1:8001 1",
            "default/b-rank-0 [fd00::1]:8000 0",
            "default/b-rank-1 [fd00::1]:8001 1",
        ]
    );
    assert_eq!(pool(&snapshot).endpoints[0].labels["extra"], "x");
}

#[test]
fn only_ready_pods_of_the_namespace_count() {
    let cases = [
        ("name: a", "{podIP: 10.0.0.1}", (1, 0)),
        ("name: a, namespace: other", "{podIP: 10.0.0.1}", (0, 0)),
        (
            "name: a, deletionTimestamp: '2026-01-01T00:00:00Z'",
            "{podIP: 10.0.0.1}",
            (0, 1),
        ),
        (
            "name: a",
            "{podIP: 10.0.0.1, conditions: [{type: Ready, status: 'False'}]}",
            (0, 1),
        ),
        (
            "name: a",
            "{podIP: 10.0.0.1, conditions: [{type: Ready, status: Unknown}]}",
            (0, 1),
        ),
        (
            "name: a",
            "{podIP: 10.0.0.1, conditions: [{type: Initialized, status: 'False'}]}",
            (1, 0),
        ),
        ("name: a", "{podIP: 10.0.0.1, phase: Succeeded}", (0, 1)),
        ("name: a", "{podIP: 10.0.0.1, phase: Failed}", (0, 1)),
    ];
    for (meta, status, want) in cases {
        let snapshot = clean(&[GATEWAY, POOL, &pod(meta, status)]);
        let pool = pool(&snapshot);
        assert_eq!(
            (pool.endpoints.len(), pool.not_ready),
            want,
            "{meta} {status}"
        );
    }
    assert_problem(
        &[GATEWAY, POOL, &pod("name: a", "{phase: Pending}")],
        "warning",
        "status.podIP",
        "is missing",
    );
}

#[test]
fn annotations_limit_the_live_ports() {
    let ports = POOL.replace(
        "[{number: 8000}]",
        "[{number: 8000}, {number: 8001}, {number: 8002}]",
    );
    let (gie, llmd) = (
        "inference.networking.k8s.io/active-ports",
        "llm-d.ai/active-ports",
    );
    let cases: [(String, &[u16]); 7] = [
        (format!("{gie}: '8000,8002'"), &[8000, 8002]),
        (format!("{gie}: ' 8001 , 9999'"), &[8001]),
        (format!("{gie}: '8001abc,x,-1'"), &[8001]),
        (format!("{gie}: ''"), &[]),
        (format!("{gie}: '8000', {llmd}: '8002'"), &[8002]),
        (format!("{llmd}: '8000'"), &[8000]),
        ("other: '1'".to_owned(), &[8000, 8001, 8002]),
    ];
    for (annotation, want) in cases {
        let pod = pod(
            &format!("name: a, annotations: {{{annotation}}}"),
            "{podIP: 10.0.0.1}",
        );
        let snapshot = clean(&[GATEWAY, &ports, &pod]);
        let live: Vec<u16> = pool(&snapshot).endpoints.iter().map(|e| e.port).collect();
        assert_eq!(live, want, "{annotation}");
        assert!(
            pool(&snapshot)
                .endpoints
                .iter()
                .all(|e| e.rank == e.port - 8000),
            "ranks stay"
        );
    }
}

fn objective(group: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: {group}/v1alpha2\nkind: InferenceObjective\nmetadata: {{name: {name}}}\nspec: {spec}"
    )
}

#[test]
fn objectives_belong_to_the_pool_of_their_group() {
    let (llmd, gie) = ("llm-d.ai", "inference.networking.x-k8s.io");
    let snapshot = clean(&[
        GATEWAY,
        POOL,
        &objective(llmd, "gold", "{poolRef: {name: pool}, priority: 10}"),
        &objective(
            gie,
            "batch",
            "{poolRef: {name: pool, group: inference.networking.k8s.io}, priority: -5}",
        ),
        &objective(gie, "unset", "{poolRef: {name: pool}}"),
    ]);
    let priorities: Vec<_> = pool(&snapshot).objectives.values().copied().collect();
    assert_eq!(priorities, [-5, 10, 0]);

    let both = [
        GATEWAY,
        POOL,
        &objective(gie, "o", "{poolRef: {name: pool}, priority: 1}"),
        &objective(llmd, "o", "{poolRef: {name: pool}, priority: 2}"),
    ];
    let (snapshot, problems) = built(&both);
    assert_eq!(
        pool(&snapshot).priority(Some("o")),
        2,
        "llm-d's own wins: {}",
        show(&problems)
    );
    assert_problem(
        &both,
        "warning",
        "",
        "there is an llm-d.ai InferenceObjective of the same name",
    );

    for reference in [
        "{name: gone}",
        "{name: pool, group: inference.networking.x-k8s.io}",
    ] {
        let text = objective(llmd, "o", &format!("{{poolRef: {reference}}}"));
        assert_problem(
            &[GATEWAY, POOL, &text],
            "warning",
            "spec.poolRef",
            "has no effect",
        );
    }
    let text = objective(llmd, "o", "{poolRef: {name: pool, kind: Service}}");
    assert_problem(
        &[GATEWAY, POOL, &text],
        "warning",
        "spec.poolRef.kind",
        "want InferencePool",
    );
}

fn rewrite(group: &str, meta: &str, rules: &str) -> String {
    format!(
        "apiVersion: {group}/v1alpha2\nkind: InferenceModelRewrite\nmetadata: {{{meta}}}\nspec: {{poolRef: {{name: pool}}, rules: {rules}}}"
    )
}

#[test]
fn rewrites_are_ordered_by_age_then_name() {
    let one = |target: &str| {
        format!("[{{matches: [{{model: {{value: m}}}}], targets: [{{modelRewrite: {target}}}]}}]")
    };
    let old = "creationTimestamp: '2026-01-01T00:00:00Z'";
    let new = "creationTimestamp: '2026-02-01T00:00:00Z'";
    let won = |first: &str, second: &str| {
        let first = rewrite("llm-d.ai", first, &one("first"));
        let second = rewrite("inference.networking.x-k8s.io", second, &one("second"));
        let snapshot = clean(&[GATEWAY, POOL, &first, &second]);
        pool(&snapshot)
            .rewrite("m", 0)
            .expect("rule")
            .target
            .to_string()
    };
    assert_eq!(
        won(&format!("name: a, {new}"), &format!("name: b, {old}")),
        "second"
    );
    assert_eq!(
        won(&format!("name: b, {old}"), &format!("name: a, {old}")),
        "second"
    );
    assert_eq!(
        won("name: a", &format!("name: b, {new}")),
        "second",
        "no time counts as newest"
    );
}

#[test]
fn faults_of_rewrites_are_found() {
    let of = |rules: &str| rewrite("llm-d.ai", "name: w", rules);
    let cases = [
        (
            "[{matches: [{model: {value: m}}]}]",
            "warning",
            "spec.rules[0].targets",
            "has no effect",
        ),
        (
            "[{targets: []}]",
            "error",
            "spec.rules[0].targets",
            "has 0 items",
        ),
        (
            "[{targets: [{modelRewrite: ''}]}]",
            "error",
            "spec.rules[0].targets[0].modelRewrite",
            "is empty",
        ),
        (
            "[{targets: [{modelRewrite: a, weight: 1}, {modelRewrite: b}]}]",
            "warning",
            "spec.rules[0].targets[1].weight",
            "never chosen",
        ),
        (
            "[{targets: [{modelRewrite: a, weight: 0}]}]",
            "error",
            "spec.rules[0].targets[0].weight",
            "1 to 1000000",
        ),
        (
            "[{matches: [{model: {type: Regex, value: m}}], targets: [{modelRewrite: a}]}]",
            "error",
            "spec.rules[0].matches[0].model.type",
            "unknown variant",
        ),
    ];
    for (rules, severity, path, words) in cases {
        assert_problem(&[GATEWAY, POOL, &of(rules)], severity, path, words);
    }
}

#[test]
fn the_v1_pool_wins_over_the_alpha_one() {
    let alpha = "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\nmetadata: {name: pool}\n\
        spec: {selector: {app: vllm}, targetPortNumber: 9000, extensionRef: {name: epp}}";
    let snapshot = clean(&[GATEWAY, alpha, &pod("name: a", "{podIP: 10.0.0.1}")]);
    assert_eq!(endpoints(&snapshot), ["default/a-rank-0 10.0.0.1:9000 0"]);
    let (snapshot, _) = built(&[GATEWAY, alpha, POOL]);
    assert_eq!(pool(&snapshot).target_ports, [8000]);
    assert_problem(
        &[GATEWAY, alpha, POOL],
        "warning",
        "",
        "there is a v1 InferencePool of the same name",
    );
}
