use super::*;
use crate::ModelView;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use resources::{Options, Source};

mod reference;

/// A Gateway on port 80 and these HTTPRoutes, each `name: spec in flow style`.
fn table(routes: &[(&str, &str)]) -> Table {
    let listener =
        "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}";
    table_with(&[listener], routes)
}

fn table_with(listeners: &[&str], routes: &[(&str, &str)]) -> Table {
    let listeners = listeners.join(", ");
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\n\
         spec: {{gatewayClassName: plimsoll, listeners: [{listeners}]}}\n"
    );
    for (meta, spec) in routes {
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {meta}}}\n\
             spec: {{parentRefs: [{{name: gw, namespace: default}}], {spec}}}\n"
        ));
    }
    let (snapshot, problems) =
        resources::build(&[Source::new("t.yaml", text)], &Options::default());
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| problem.is_error())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Table::build(&snapshot)
}

struct Request<'a> {
    host: &'a str,
    method: Method,
    target: &'a str,
    headers: HeaderMap,
    model: ModelView<'a>,
}

fn get(target: &str) -> Request<'_> {
    Request {
        host: "any.example",
        method: Method::GET,
        target,
        headers: HeaderMap::new(),
        model: ModelView::Absent,
    }
}

impl<'a> Request<'a> {
    fn host(self, host: &'a str) -> Self {
        Self { host, ..self }
    }

    fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn model(self, model: &'a str, base: Option<&'a str>) -> Self {
        Self {
            model: ModelView::Named { model, base },
            ..self
        }
    }

    fn unread(self) -> Self {
        Self {
            model: ModelView::Unread,
            ..self
        }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// `route/rule`, or what else the table says.
    fn on(&self, table: &Table) -> String {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        let view = RequestView {
            port: 80,
            sni: None,
            host: self.host,
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            model: self.model,
        };
        match table.route(&view) {
            Outcome::Matched(found) => format!("{}/{}", found.route.name.name, found.rule_index),
            Outcome::NeedsModel => "needs model".to_owned(),
            Outcome::NoListener => "no listener".to_owned(),
            Outcome::NoRoute => "no route".to_owned(),
        }
    }
}

#[test]
fn paths_are_exact_then_expressions_then_the_longest_prefix() {
    let table = table(&[(
        "r",
        "rules: [
            {matches: [{path: {type: PathPrefix, value: /}}]},
            {matches: [{path: {type: PathPrefix, value: /v1/}}]},
            {matches: [{path: {type: PathPrefix, value: /v1/chat}}]},
            {matches: [{path: {type: Exact, value: /v1/chat}}]},
            {matches: [{path: {type: RegularExpression, value: '/v1/[a-z]+/completions'}}]},
            {matches: [{path: {type: Exact, value: /v1/chat/}}]}]",
    )]);
    let cases = [
        ("/", "r/0"),
        ("/v2", "r/0"),
        ("/v1", "r/1"),
        ("/v1/", "r/1"),
        ("/v1x", "r/0"),
        ("/V1", "r/0"),
        ("/v1/chat", "r/3"),
        ("/v1/chat/", "r/5"),
        ("/v1/chat/x", "r/2"),
        ("/v1/chatter", "r/1"),
        ("/v1/chat/completions", "r/4"),
        ("/v1/chat/completions/x", "r/2"),
        ("/x/v1/chat/completions", "r/0"),
    ];
    for (path, want) in cases {
        assert_eq!(get(path).on(&table), want, "{path}");
    }
}

#[test]
fn a_route_without_rules_or_matches_takes_everything() {
    let table = table(&[("r", "hostnames: []")]);
    assert_eq!(get("/any/path").on(&table), "r/0");
}

#[test]
fn method_headers_and_query_break_ties_in_that_order() {
    let table = table(&[(
        "r",
        "rules: [
            {matches: [{path: {value: /}}]},
            {matches: [{queryParams: [{name: a, value: '1'}, {name: b, value: '2'}]}]},
            {matches: [{headers: [{name: x-a, value: '1'}]}]},
            {matches: [{headers: [{name: x-a, value: '1'}, {name: x-b, value: '2'}]}]},
            {matches: [{method: POST}]},
            {matches: [{queryParams: [{name: a, value: '1'}]}]}]",
    )]);
    let with_a = || get("/?a=1&b=2").header("x-a", "1");
    assert_eq!(get("/").on(&table), "r/0");
    assert_eq!(get("/?a=1").on(&table), "r/5");
    assert_eq!(get("/?a=1&b=2").on(&table), "r/1");
    assert_eq!(with_a().on(&table), "r/2");
    assert_eq!(with_a().header("x-b", "2").on(&table), "r/3");
    assert_eq!(with_a().header("x-b", "3").on(&table), "r/2");
    assert_eq!(with_a().method(Method::POST).on(&table), "r/4");
}

#[test]
fn alternatives_of_a_rule_are_or_and_conditions_of_one_are_and() {
    let table = table(&[(
        "r",
        "rules: [{matches: [{path: {value: /a}, method: GET}, {path: {value: /b}, headers: [{name: x, value: y}]}]}]",
    )]);
    assert_eq!(get("/a").on(&table), "r/0");
    assert_eq!(get("/a").method(Method::POST).on(&table), "no route");
    assert_eq!(get("/b").on(&table), "no route");
    assert_eq!(get("/b").header("x", "y").on(&table), "r/0");
}

#[test]
fn repeated_headers_are_one_list() {
    let table = table(&[(
        "r",
        "rules: [{matches: [{headers: [{name: X-A, value: 'a,b'}]}]}]",
    )]);
    assert_eq!(
        get("/").header("x-a", "a").header("x-a", "b").on(&table),
        "r/0"
    );
    assert_eq!(get("/").header("x-a", "a").on(&table), "no route");
}

#[test]
fn older_routes_win_then_the_first_name() {
    let rule = "rules: [{matches: [{path: {value: /}}]}]";
    let time = |name: &str, time: &str| format!("{name}, creationTimestamp: '{time}'");
    let (new, old) = (
        time("a", "2026-02-01T00:00:00Z"),
        time("z", "2026-01-01T00:00:00Z"),
    );
    assert_eq!(get("/").on(&table(&[(&new, rule), (&old, rule)])), "z/0");
    assert_eq!(get("/").on(&table(&[("b", rule), ("a", rule)])), "a/0");
    assert_eq!(
        get("/").on(&table(&[("a", rule), (&new.replace("a,", "b,"), rule)])),
        "b/0"
    );
    let by_namespace = table(&[("a, namespace: z", rule), ("z, namespace: a", rule)]);
    assert_eq!(
        get("/").on(&by_namespace),
        "z/0",
        "namespace goes before name"
    );
}

#[test]
fn a_more_specific_hostname_beats_a_better_path() {
    let table = table(&[
        (
            "any",
            "rules: [{matches: [{path: {type: Exact, value: /v1/models}}]}]",
        ),
        (
            "wide",
            "hostnames: ['*.example.com'], rules: [{matches: [{path: {value: /v1/models}}]}]",
        ),
        (
            "exact",
            "hostnames: [chat.example.com], rules: [{matches: [{path: {value: /v1}}]}]",
        ),
    ]);
    let on = |host, path| get(path).host(host).on(&table);
    assert_eq!(on("chat.example.com", "/v1/models"), "exact/0");
    assert_eq!(on("CHAT.example.com:8080", "/v1/models"), "exact/0");
    assert_eq!(on("a.b.example.com", "/v1/models"), "wide/0");
    assert_eq!(on("example.com", "/v1/models"), "any/0");
    assert_eq!(on("chat.example.com", "/v2"), "no route");
    assert_eq!(on("other.example", "/v1"), "no route");
}

#[test]
fn what_a_specific_hostname_leaves_goes_to_the_wider_one() {
    let table = table(&[
        (
            "wide",
            "hostnames: ['*.example.com'], rules: [{matches: [{path: {value: /}}]}]",
        ),
        (
            "exact",
            "hostnames: [chat.example.com], rules: [{matches: [{path: {value: /v1}}]}]",
        ),
    ]);
    assert_eq!(get("/v2").host("chat.example.com").on(&table), "wide/0");
}

#[test]
fn the_most_specific_listener_takes_the_request_alone() {
    let listeners = [
        "{name: any, port: 80, protocol: HTTP}",
        "{name: wide, port: 80, protocol: HTTP, hostname: '*.example.com'}",
        "{name: exact, port: 80, protocol: HTTP, hostname: a.example.com}",
        "{name: elsewhere, port: 81, protocol: HTTP, hostname: b.example.com}",
    ];
    let route = |section: &str| {
        format!(
            "parentRefs: [{{name: gw, sectionName: {section}}}], rules: [{{matches: [{{path: {{value: /{section}}}}}]}}]"
        )
    };
    // parentRefs may be given once only, so the routes are written out here.
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\n\
         spec: {{gatewayClassName: plimsoll, listeners: [{}]}}\n",
        listeners.join(", ")
    );
    for name in ["any", "wide", "exact"] {
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec: {{{}}}\n",
            route(name)
        ));
    }
    let (snapshot, _) = resources::build(&[Source::new("t.yaml", text)], &Options::default());
    let table = Table::build(&snapshot);
    let on = |host, path| get(path).host(host).on(&table);
    assert_eq!(on("a.example.com", "/exact"), "exact/0");
    assert_eq!(on("a.example.com", "/wide"), "no route");
    assert_eq!(on("b.example.com", "/wide"), "wide/0");
    assert_eq!(on("c.test", "/any"), "any/0");
    assert_eq!(on("c.test", "/wide"), "no route");
}

#[test]
fn hosts_that_no_listener_serves_are_told_apart() {
    let listener = "{name: http, port: 80, protocol: HTTP, hostname: a.example.com}";
    let table = table_with(
        &[listener],
        &[("r", "rules: [{matches: [{path: {value: /v1}}]}]")],
    );
    assert_eq!(get("/v1").host("b.example.com").on(&table), "no listener");
    assert_eq!(get("/v2").host("a.example.com").on(&table), "no route");
    let request = get("/v1");
    let view = RequestView {
        port: 80,
        sni: Some("a.example.com"),
        host: "",
        method: &request.method,
        path: "/v1",
        query: None,
        headers: &request.headers,
        model: ModelView::Absent,
    };
    assert!(
        matches!(table.route(&view), Outcome::Matched(_)),
        "the handshake's name stands in"
    );
    assert!(matches!(
        table.route(&RequestView { port: 81, ..view }),
        Outcome::NoListener
    ));
}

#[test]
fn models_choose_among_rules() {
    let table = table(&[(
        "r",
        "rules: [
            {matches: [{path: {value: /}}]},
            {matches: [{headers: [{name: X-Gateway-Model-Name, value: llama}]}]},
            {matches: [{headers: [{name: X-Gateway-Base-Model-Name, value: base}]}]},
            {matches: [{headers: [{name: X-Gateway-Model-Name, type: RegularExpression, value: 'q.*'}]}]},
            {matches: [{headers: [{name: X-Gateway-Model-Name, value: llama}, {name: x-tier, value: gold}]}]}]",
    )]);
    assert!(table.uses_model_headers());
    assert_eq!(get("/").unread().on(&table), "needs model");
    assert_eq!(get("/").on(&table), "r/0");
    assert_eq!(get("/").model("llama", None).on(&table), "r/1");
    assert_eq!(
        get("/")
            .model("llama", None)
            .header("x-tier", "gold")
            .on(&table),
        "r/4"
    );
    assert_eq!(get("/").model("lora-1", Some("base")).on(&table), "r/2");
    assert_eq!(get("/").model("qwen", None).on(&table), "r/3");
    assert_eq!(get("/").model("other", Some("other")).on(&table), "r/0");
    let spoofed = get("/").header("x-gateway-model-name", "llama");
    assert_eq!(
        spoofed.on(&table),
        "r/0",
        "a header that the client sent says nothing"
    );
}

#[test]
fn the_body_is_asked_for_only_if_it_can_decide() {
    let table = table(&[(
        "r",
        "rules: [
            {matches: [{path: {type: Exact, value: /health}}]},
            {matches: [{path: {value: /v1}, headers: [{name: X-Gateway-Model-Name, value: m}], method: POST}]},
            {matches: [{path: {value: /v1}}]},
            {matches: [{path: {value: /v1/files}, method: POST}]}]",
    )]);
    assert_eq!(get("/health").unread().on(&table), "r/0");
    assert_eq!(
        get("/v1/x").unread().on(&table),
        "r/2",
        "the rule for models wants POST"
    );
    assert_eq!(
        get("/v1/x").method(Method::POST).unread().on(&table),
        "needs model"
    );
    assert_eq!(
        get("/v1/files").method(Method::POST).unread().on(&table),
        "r/3",
        "longer prefix"
    );
    assert_eq!(get("/v2").unread().on(&table), "no route");
}
