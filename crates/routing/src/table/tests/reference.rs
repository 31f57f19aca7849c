//! The table against a slow and plain reading of the API: try all, sort by precedence.

use super::{Outcome, Table};
use crate::{MODEL_HEADER, ModelView, RequestView};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use resources::{
    AttachedRoute, HeaderMatch, Hostname, Listener, ListenerProtocol, ObjectName, PathMatch, Route,
    RouteMatch, Rule, Snapshot, Timeouts, ValueMatch,
};
use std::cmp::Reverse;
use std::sync::Arc;

const PATHS: [&str; 6] = ["", "/a", "/a/b", "/a/b/c", "/ab", "/b"];
const HOSTS: [&str; 4] = ["x.example.com", "*.example.com", "*.com", "y.test"];
const MODELS: [&str; 3] = ["m1", "m2", "m3"];

fn path() -> impl Strategy<Value = PathMatch> {
    let text = proptest::sample::select(&PATHS[..]);
    (text, 0..3_u8).prop_map(|(text, kind)| match kind {
        0 => PathMatch::Prefix(text.into()),
        1 => PathMatch::Exact(if text.is_empty() { "/" } else { text }.into()),
        _ => {
            let regex = regex::Regex::new(&format!("^(?:{text}/?[a-c]*)$"));
            PathMatch::Regex(regex.expect("expression"))
        }
    })
}

fn found() -> impl Strategy<Value = RouteMatch> {
    let model = proptest::option::weighted(0.4, proptest::sample::select(&MODELS[..]));
    let tier = proptest::option::weighted(0.3, Just("gold"));
    (path(), proptest::bool::weighted(0.3), model, tier).prop_map(|(path, post, model, tier)| {
        let header = |name: &'static str, value: &str| HeaderMatch {
            name: http::HeaderName::from_static(name),
            value: ValueMatch::Exact(value.into()),
        };
        let mut headers = Vec::new();
        headers.extend(model.map(|model| header(MODEL_HEADER, model)));
        headers.extend(tier.map(|tier| header("x-tier", tier)));
        RouteMatch {
            path,
            method: post.then_some(Method::POST),
            headers,
            query: Vec::new(),
        }
    })
}

/// Hostnames, age and rules of a route.
type Drawn = (Vec<Hostname>, Option<i64>, Vec<Vec<RouteMatch>>);

fn attached() -> impl Strategy<Value = Drawn> {
    let hosts = proptest::sample::subsequence(&HOSTS[..], 0..3).prop_map(|names| {
        names
            .iter()
            .map(|name| Hostname::parse(name).expect("host"))
            .collect()
    });
    let rules = proptest::collection::vec(proptest::collection::vec(found(), 1..3), 1..4);
    (hosts, proptest::option::of(0..3_i64), rules)
}

fn snapshot(routes: Vec<Drawn>) -> Snapshot {
    let rule = |matches: Vec<RouteMatch>| Rule {
        name: None,
        matches,
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
    };
    let routes = routes
        .into_iter()
        .enumerate()
        .map(|(index, (hostnames, created, rules))| {
            let name = ObjectName::new("default", format!("r{index}"));
            let rules = rules.into_iter().map(rule).collect();
            AttachedRoute {
                route: Arc::new(Route {
                    name,
                    created,
                    rules,
                }),
                hostnames,
            }
        });
    let listener = Listener {
        gateway: ObjectName::new("default", "gw"),
        name: "http".into(),
        port: 80,
        protocol: ListenerProtocol::Http,
        hostname: None,
        tls: Vec::new(),
        routes: routes.collect(),
    };
    Snapshot {
        listeners: vec![listener],
        ..Snapshot::default()
    }
}

/// Best `(route, rule)` by the words of the API.
fn slow(snapshot: &Snapshot, request: &RequestView<'_>) -> Option<(String, usize)> {
    let mut all = Vec::new();
    for attached in &snapshot.listeners[0].routes {
        let hosts = attached
            .hostnames
            .iter()
            .filter(|host| host.matches(request.host));
        let best = hosts.map(|host| host.specificity()).max();
        if best.is_none() && !attached.hostnames.is_empty() {
            continue;
        }
        for (rule_index, rule) in attached.route.rules.iter().enumerate() {
            for (index, found) in rule
                .matches
                .iter()
                .enumerate()
                .filter(|(_, m)| fits(m, request))
            {
                let path = match &found.path {
                    PathMatch::Exact(_) => (2, 0, String::new()),
                    PathMatch::Regex(regex) => (1, regex.as_str().len(), regex.as_str().to_owned()),
                    PathMatch::Prefix(prefix) => (0, prefix.len(), String::new()),
                };
                let key = (
                    (Reverse(best), Reverse(path.0), Reverse(path.1), path.2),
                    (
                        Reverse(found.method.is_some()),
                        Reverse(found.headers.len()),
                    ),
                    attached.route.created.unwrap_or(i64::MAX),
                    attached.route.name.clone(),
                    (rule_index, index),
                );
                all.push((key, (attached.route.name.name.to_string(), rule_index)));
            }
        }
    }
    all.into_iter()
        .min_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, found)| found)
}

fn fits(found: &RouteMatch, request: &RequestView<'_>) -> bool {
    let path = match &found.path {
        PathMatch::Exact(exact) => **exact == *request.path,
        PathMatch::Regex(regex) => regex.is_match(request.path),
        PathMatch::Prefix(prefix) => {
            let elements = |text: &str| -> Vec<String> {
                text.split('/')
                    .skip(1)
                    .filter(|e| !e.is_empty())
                    .map(str::to_owned)
                    .collect()
            };
            elements(request.path).starts_with(&elements(prefix))
        }
    };
    path && found
        .method
        .as_ref()
        .is_none_or(|method| method == request.method)
        && found.headers.iter().all(|header| {
            let value = match request.model {
                ModelView::Named { model, .. } if header.name == MODEL_HEADER => {
                    Some(model.as_bytes())
                }
                _ => request.headers.get(&header.name).map(HeaderValue::as_bytes),
            };
            value.is_some_and(|value| header.value.matches(value))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_finds_what_a_plain_search_finds(
        routes in proptest::collection::vec(attached(), 1..6),
        path in proptest::sample::select(&["/", "/a", "/a/", "/a/b", "/a/b/c/d", "/ab", "/abc", "/z"][..]),
        host in proptest::sample::select(&["x.example.com", "q.example.com", "a.com", "y.test", "z"][..]),
        post in any::<bool>(),
        gold in any::<bool>(),
        model in proptest::option::of(proptest::sample::select(&["m1", "m2", "other"][..])),
    ) {
        let snapshot = snapshot(routes);
        let table = Table::build(&snapshot);
        let mut headers = HeaderMap::new();
        if gold {
            headers.insert("x-tier", HeaderValue::from_static("gold"));
        }
        let method = if post { Method::POST } else { Method::GET };
        let model = model.map_or(ModelView::Absent, |model| ModelView::Named { model, base: None });
        let request = RequestView {
            port: 80, sni: None, host, method: &method, path, query: None, headers: &headers, model,
        };
        let fast = match table.route(&request) {
            Outcome::Matched(found) => Some((found.route.name.name.to_string(), found.rule_index)),
            _ => None,
        };
        prop_assert_eq!(&fast, &slow(&snapshot, &request));

        // While the body is unread, whatever is decided must hold for this model too.
        match table.route(&RequestView { model: ModelView::Unread, ..request }) {
            Outcome::Matched(found) => {
                let early = Some((found.route.name.name.to_string(), found.rule_index));
                prop_assert_eq!(early, fast);
            }
            Outcome::NeedsModel => prop_assert!(table.uses_model_headers()),
            Outcome::NoRoute | Outcome::NoListener => prop_assert_eq!(None, fast),
        }
    }
}
