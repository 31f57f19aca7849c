//! How long it takes to find the rule of a request among thousands.

use http::{HeaderMap, Method};
use resources::{Options, Source};
use routing::{ModelView, RequestView, Table};

fn main() {
    divan::main();
}

/// One route of 16 rules per host, `routes` of them; each rule asks for a path and a model.
fn table(routes: usize) -> Table {
    let mut text = String::from(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\n\
         spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}\n",
    );
    for route in 0..routes {
        let rules: Vec<String> = (0..16)
            .map(|rule| {
                format!(
                    "{{matches: [{{path: {{value: /v1}}, headers: [{{name: X-Gateway-Model-Name, value: m-{route}-{rule}}}]}}]}}"
                )
            })
            .collect();
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{route}}}\n\
             spec: {{parentRefs: [{{name: gw}}], rules: [{}]}}\n",
            rules.join(", ")
        ));
    }
    let (snapshot, _) = resources::build(&[Source::new("bench.yaml", text)], &Options::default());
    Table::build(&snapshot)
}

#[divan::bench(args = [1, 64, 1024])]
fn last_of_many_models(bencher: divan::Bencher<'_, '_>, routes: usize) {
    let table = table(routes);
    let model = format!("m-{}-15", routes - 1);
    let headers = HeaderMap::new();
    bencher.bench_local(|| {
        let request = RequestView {
            port: 80,
            sni: None,
            host: "Chat.Example.com:8080",
            method: &Method::POST,
            path: "/v1/chat/completions",
            query: None,
            headers: &headers,
            model: ModelView::Named {
                model: &model,
                base: None,
            },
        };
        matches!(
            table.route(divan::black_box(&request)),
            routing::Outcome::Matched(_)
        )
    });
}
