//! Body-based routing, model rewrite, models list, and refusals in the client's dialect.

mod support;

use lifecycle::{Ending, Reason, Settings};
use support::{
    CATCH_ALL, POOL, answered, body_text, chat, door, house, push, request, response, sent,
};

const BY_MODEL: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-model, namespace: default}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{headers: [{name: X-Gateway-Base-Model-Name, value: llama}]}]
    backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: chat}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: llama, namespace: default, labels: {inference.networking.k8s.io/bbr-managed: 'true'}}
data:
  baseModel: llama
  adapters: |
    - sql
";

const REWRITE: &str = "
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModelRewrite
metadata: {name: canary, namespace: default}
spec:
  poolRef: {name: chat}
  rules:
  - matches: [{model: {value: gpt-4o}}]
    targets: [{modelRewrite: llama, weight: 1}]
";

#[test]
fn an_adapter_leads_to_its_base_models_pool_and_spoofed_headers_do_not() {
    let house = house(&[POOL, BY_MODEL], Settings::default());
    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("sql", "hi")));
    assert_eq!(dispatch.headers()["x-gateway-model-name"], "sql");
    assert_eq!(dispatch.headers()["x-gateway-base-model-name"], "llama");

    let spoofed = [
        ("x-gateway-base-model-name", "llama"),
        ("x-gateway-model-name", "sql"),
    ];
    let reply = answered(house.post("/v1/chat/completions", &spoofed, &chat("other", "hi")));
    assert_eq!(reply.status, 404);
    assert!(
        std::str::from_utf8(&reply.body)
            .unwrap()
            .contains("model_not_found")
    );
}

#[test]
fn without_a_model_the_answer_tells_what_is_missing() {
    let house = house(&[POOL, BY_MODEL], Settings::default());
    let reply = answered(house.post(
        "/v1/chat/completions",
        &[],
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
    ));
    assert_eq!(reply.headers["x-plimsoll-reason"], "missing_model");
    assert_eq!(reply.status, 400);
}

#[test]
fn a_rewrite_changes_only_the_model_and_the_answer_shows_the_clients_name() {
    let house = house(&[POOL, CATCH_ALL, REWRITE], Settings::default());
    let body = r#"{"messages":[{"role":"user","content":"say \"model\":\"gpt-4o\""}],"model":"gpt-4o","stream":true,"seed":1.0}"#;
    let dispatch = sent(house.post("/v1/chat/completions", &[], body));
    assert_eq!(
        body_text(&dispatch),
        body.replace(r#"],"model":"gpt-4o""#, r#"],"model":"llama""#)
    );
    let mut observing = dispatch.accept(&mut response(200, "text/event-stream"));
    let out = push(
        &mut observing,
        "data: {\"model\":\"llama\",\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"llama\\\"\"}}]}\n\n",
    );
    assert_eq!(
        out,
        "data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"llama\\\"\"}}]}\n\n"
    );
    let record = &house.core.decisions().latest(1, |_| true)[0];
    assert_eq!(record.rewrite.as_deref(), Some("canary"));
    assert_eq!(record.target_model.as_deref(), Some("llama"));
}

#[test]
fn models_are_the_union_of_pods_rewrites_and_mapping() {
    let house = house(&[POOL, BY_MODEL, REWRITE], Settings::default());
    house.endpoints[0]
        .signals()
        .set_models(vec!["llama".into(), "scraped-only".into()]);
    let reply = answered(house.receive(request("GET", "/v1/models", &[]), false));
    let list: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["gpt-4o", "llama", "scraped-only", "sql"]);
    assert_eq!(list["data"][3]["parent"], "llama");

    assert_eq!(
        answered(house.receive(request("GET", "/v1/models/sql", &[]), false)).status,
        200
    );
    let missing = answered(house.receive(request("GET", "/v1/models/nope", &[]), false));
    assert_eq!(missing.status, 404);
    assert_eq!(
        house.endings().last(),
        Some(&Ending::Refused(Reason::ModelNotFound))
    );
}

#[test]
fn refusals_speak_the_clients_dialect() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    for (path, pointer) in [
        ("/v1/chat/completions", "/error/message"),
        ("/v1/messages", "/error/message"),
    ] {
        let reply = answered(house.post(path, &[], "{not json"));
        assert_eq!(reply.status, 400, "{path}");
        assert_eq!(reply.headers["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(
            body.pointer(pointer)
                .and_then(|message| message.as_str())
                .is_some_and(|message| message.contains("JSON")),
            "{body}"
        );
        assert_eq!(
            body.get("type").is_some_and(|kind| kind == "error"),
            path == "/v1/messages"
        );
    }
}

#[test]
fn bodies_over_the_limit_are_refused_before_and_while_reading() {
    let settings = Settings {
        body_bytes_max: 100,
        ..Settings::default()
    };
    let house = house(&[POOL, CATCH_ALL], settings);
    let announced = house.receive(
        request("POST", "/v1/chat/completions", &[("content-length", "101")]),
        true,
    );
    assert_eq!(answered(announced).status, 413);
    let streamed = house.post("/v1/chat/completions", &[], &chat("m", &"x".repeat(200)));
    assert_eq!(answered(streamed).status, 413);
    assert_eq!(house.core.body_budget().used(), 0);
}

#[test]
fn an_exhausted_body_budget_is_a_503_and_heals() {
    let settings = Settings {
        body_budget_bytes: 150,
        ..Settings::default()
    };
    let house = house(&[POOL, CATCH_ALL], settings);
    let body = chat("m", "0123456789");
    let held = sent(house.post("/v1/chat/completions", &[], &body));
    let reply = answered(house.post("/v1/chat/completions", &[], &body));
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["x-plimsoll-reason"]),
        (503, &"body_budget_exhausted".parse().unwrap())
    );
    drop(held);
    drop(sent(house.post("/v1/chat/completions", &[], &body)));
}

#[test]
fn explaining_a_request_agrees_with_sending_it() {
    let house = house(&[POOL, BY_MODEL, REWRITE], Settings::default());
    let body = chat("sql", "hi");
    let explained = lifecycle::explain(
        &house.core,
        door(),
        request("POST", "/v1/chat/completions", &[]),
        Some(body.into()),
    );
    assert_eq!(explained.refusal, None);
    assert_eq!(explained.route.as_deref(), Some("default/by-model"));
    assert_eq!(explained.base_model.as_deref(), Some("llama"));
    assert!(
        explained.backends[0].contains("InferencePool default/chat"),
        "{:?}",
        explained.backends
    );
    let refused = lifecycle::explain(
        &house.core,
        door(),
        request("POST", "/v1/chat/completions", &[]),
        Some(chat("nope", "hi").into()),
    );
    assert_eq!(
        refused.refusal.map(|refusal| refusal.reason),
        Some(Reason::ModelNotFound)
    );
}
