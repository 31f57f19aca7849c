use super::{GATEWAY, POOL, show};
use crate::{
    BackendTarget, EndpointSpec, ListenerProtocol, ObjectName, Options, PathMatch, Problem,
    Snapshot, Source, build,
};

fn endpoint(flag: &str) -> EndpointSpec {
    EndpointSpec::parse_flag(flag).expect("flag")
}

fn with_flags(text: &str, flags: &[&str]) -> (Snapshot, Vec<Problem>) {
    let options = Options {
        default_listen_port: 8080,
        endpoints: flags.iter().map(|flag| endpoint(flag)).collect(),
        ..Options::default()
    };
    build(&[Source::new("t.yaml", text)], &options)
}

fn pool_of(snapshot: &Snapshot) -> ObjectName {
    let rule = &snapshot.listeners[0].routes[0].route.rules[0];
    assert!(matches!(&rule.matches[0].path, PathMatch::Prefix(prefix) if prefix.is_empty()));
    match &rule.backends[0].target {
        BackendTarget::Pool(pool) => pool.name.clone(),
        other => panic!("not a pool: {other:?}"),
    }
}

#[test]
fn endpoints_alone_make_a_whole_gateway() {
    let (snapshot, problems) = with_flags("", &["http://10.0.0.2:8000", "http://10.0.0.1:8000"]);
    assert!(problems.is_empty(), "{}", show(&problems));
    let listener = &snapshot.listeners[0];
    assert_eq!(
        (listener.port, listener.protocol),
        (8080, ListenerProtocol::Http)
    );
    assert_eq!(listener.gateway.to_string(), "default/plimsoll");
    assert_eq!(pool_of(&snapshot).to_string(), "default/default");
    let pool = snapshot.pools.values().next().expect("pool");
    let names: Vec<&str> = pool
        .endpoints
        .iter()
        .map(|endpoint| &*endpoint.name)
        .collect();
    assert_eq!(names, ["default/10.0.0.1:8000", "default/10.0.0.2:8000"]);
}

#[test]
fn an_endpoint_file_and_objectives_join_that_pool() {
    let text = "endpoints: [{name: a, address: 10.0.0.1, port: '8000'}]\n---\n\
        apiVersion: llm-d.ai/v1alpha2\nkind: InferenceObjective\nmetadata: {name: gold}\nspec: {poolRef: {name: default}, priority: 5}\n";
    let (snapshot, problems) = with_flags(text, &[]);
    assert!(problems.is_empty(), "{}", show(&problems));
    let pool = &snapshot.pools[&pool_of(&snapshot)];
    assert_eq!((pool.endpoints.len(), pool.priority(Some("gold"))), (1, 5));
}

#[test]
fn one_pool_without_routes_takes_everything() {
    let (snapshot, problems) = with_flags(POOL, &["http://h:1,labels=app=vllm"]);
    assert!(problems.is_empty(), "{}", show(&problems));
    assert_eq!(pool_of(&snapshot).to_string(), "default/pool");
    assert_eq!(snapshot.pools[&pool_of(&snapshot)].endpoints.len(), 1);
}

#[test]
fn endpoints_that_no_pool_selects_are_a_warning() {
    let (snapshot, problems) = with_flags(
        POOL,
        &[
            "http://h:1,labels=app=other",
            "http://h:2,name=n/x,labels=app=vllm",
        ],
    );
    assert_eq!(snapshot.pools[&pool_of(&snapshot)].endpoints.len(), 0);
    assert_eq!(problems.len(), 2, "{}", show(&problems));
    assert!(problems.iter().all(|problem| !problem.is_error()));
    assert!(problems[0].to_string().starts_with(
        "--endpoint: no InferencePool of namespace default selects endpoint default/h:1"
    ));
}

#[test]
fn several_pools_need_a_route() {
    let text = format!("{POOL}---\n{}", POOL.replace("name: pool", "name: other"));
    let (_, problems) = with_flags(&text, &[]);
    assert_eq!(problems.len(), 1, "{}", show(&problems));
    assert!(
        problems[0].is_error()
            && problems[0]
                .message
                .contains("write a Gateway and an HTTPRoute")
    );
}

#[test]
fn nothing_to_serve_is_an_error() {
    let (_, problems) = with_flags("", &[]);
    assert!(
        problems.len() == 1 && problems[0].is_error(),
        "{}",
        show(&problems)
    );
    let (_, problems) = with_flags("a: [", &[]);
    assert!(problems.iter().all(|problem| problem.is_error()));
}

#[test]
fn a_gateway_or_route_ends_the_making_up() {
    let (snapshot, _) = with_flags(GATEWAY, &["http://h:1"]);
    assert_eq!(snapshot.listeners.len(), 1);
    assert_eq!(
        (
            snapshot.listeners[0].port,
            snapshot.listeners[0].routes.len()
        ),
        (80, 0)
    );
    assert_eq!(
        snapshot.pools.len(),
        1,
        "the pool is there for routes to name"
    );
    let (_, problems) = with_flags(
        &super::route("[{backendRefs: [{name: s, port: 1}]}]"),
        &["http://h:1"],
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.is_error() && problem.message.contains("no Gateway"))
    );
}

#[test]
fn endpoint_names_are_distinct() {
    let (_, problems) = with_flags("", &["http://h:1", "http://h:2", "http://h:1"]);
    assert_eq!(problems.len(), 1, "{}", show(&problems));
    assert_eq!(
        problems[0].to_string(),
        "--endpoint: endpoint `default/h:1` is given twice, want each name once"
    );
    let file = "endpoints: [{name: a, address: h, port: 1}]";
    let (_, problems) = with_flags(&format!("{file}\n---\n{file}"), &[]);
    assert!(
        problems.len() == 1 && problems[0].path == "endpoints[0].name",
        "{}",
        show(&problems)
    );
}

#[test]
fn a_picker_serves_the_pool_it_names_and_none_but_the_only_one_without_a_name() {
    let pool = |name: &str| {
        format!(
            "---\napiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{selector: {{matchLabels: {{app: {name}}}}}, targetPorts: [{{number: 8000}}], endpointPickerRef: {{name: e, port: {{number: 1}}}}}}\n"
        )
    };
    let build = |pools: &[&str], name: Option<&str>| {
        let source = Source {
            path: "pools.yaml".into(),
            text: pools.iter().map(|name| pool(name)).collect(),
        };
        let options = Options {
            serves: crate::Serves::Pool(name.map(|name| ObjectName::new("default", name))),
            ..Options::default()
        };
        let (snapshot, problems) = crate::build(&[source], &options);
        let problem = problems.first().map(ToString::to_string);
        (snapshot.listeners.len(), problem.unwrap_or_default())
    };
    assert_eq!(build(&["a", "b"], Some("b")), (1, String::new()));
    assert_eq!(build(&["a"], None), (1, String::new()));
    let (listeners, problem) = build(&["a", "b"], None);
    assert_eq!(listeners, 0);
    assert!(
        problem.contains("default/a, default/b; name one by --pool-name"),
        "{problem}"
    );
    let (_, problem) = build(&["a"], Some("c"));
    assert!(
        problem.contains("there is no InferencePool default/c"),
        "{problem}"
    );
}
