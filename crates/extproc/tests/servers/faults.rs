//! Whatever a proxy sends, and wherever it stops: a defined answer or a closed stream, and nothing stays booked.

use std::sync::{Arc, LazyLock};

use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use extproc::{Flow, Machine, Outbox, Picker};
use lifecycle::Core;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::house;
use crate::wire;

const BODY: &str =
    r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello there"}]}"#;

fn encoded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn head(part: &str, entries: &[(&str, &str)], end: bool) -> Value {
    let headers: Vec<Value> = entries
        .iter()
        .map(|(key, value)| json!({"key": key, "rawValue": encoded(value)}))
        .collect();
    json!({part: {"headers": {"headers": headers}, "endOfStream": end}})
}

/// One exchange as a proxy shows it, in the right order.
fn exchange() -> Vec<Value> {
    let (first, second) = BODY.split_at(40);
    vec![
        head(
            "requestHeaders",
            &[(":method", "POST"), (":path", "/v1/chat/completions")],
            false,
        ),
        json!({"requestBody": {"body": encoded(first)}}),
        json!({"requestBody": {"body": encoded(second), "endOfStream": true}}),
        head(
            "responseHeaders",
            &[(":status", "200"), ("content-type", "text/event-stream")],
            false,
        ),
        json!({"responseBody": {"body": encoded("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")}}),
        json!({"responseBody": {"body": encoded("data: [DONE]\n\n")}}),
        json!({"responseBody": {"endOfStream": true}}),
    ]
}

/// Messages out of which nonsense is made.
fn others() -> Vec<Value> {
    vec![
        json!({}),
        json!({"requestTrailers": {}}),
        json!({"responseTrailers": {}}),
        json!({"requestBody": {"endOfStream": true}}),
        json!({"requestBody": {"body": encoded("{\"model\":"), "endOfStream": true}}),
        json!({"requestBody": {"body": encoded("\u{0}\u{1}not json")}}),
        head(
            "requestHeaders",
            &[("no such \n header", "x"), (":path", "not a path")],
            false,
        ),
        head("requestHeaders", &[], true),
        head("responseHeaders", &[(":status", "ninety")], false),
        head("responseHeaders", &[(":status", "500")], true),
        json!({"responseBody": {"body": encoded("{\"usage\":{\"prompt_tokens\":\"x\"}}"), "endOfStream": true}}),
    ]
}

#[derive(Debug, Clone)]
enum Fault {
    Drop(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index),
    Truncate(prop::sample::Index),
    Insert(prop::sample::Index, prop::sample::Index),
}

fn fault() -> impl Strategy<Value = Fault> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Fault::Drop),
        (index(), index()).prop_map(|(a, b)| Fault::Swap(a, b)),
        index().prop_map(Fault::Repeat),
        index().prop_map(Fault::Truncate),
        (index(), index()).prop_map(|(at, what)| Fault::Insert(at, what)),
    ]
}

fn faulty(faults: &[Fault]) -> Vec<Value> {
    let mut messages = exchange();
    for fault in faults {
        if messages.is_empty() {
            break;
        }
        let len = messages.len();
        match fault {
            Fault::Drop(at) => drop(messages.remove(at.index(len))),
            Fault::Swap(a, b) => messages.swap(a.index(len), b.index(len)),
            Fault::Repeat(at) => {
                let message = messages[at.index(len)].clone();
                messages.insert(at.index(len), message);
            }
            Fault::Truncate(at) => messages.truncate(at.index(len)),
            Fault::Insert(at, what) => {
                let others = others();
                messages.insert(at.index(len), others[what.index(others.len())].clone());
            }
        }
    }
    messages
}

/// Feeds messages until the machine closes. Returns how many answers there were, and whether it closed.
fn feed(machine: &mut impl Machine, messages: &[Value]) -> (usize, bool) {
    let mut out = Outbox::new();
    for message in messages {
        match machine.on(wire::request(message), &mut out) {
            Ok(Flow::Open) => {}
            Ok(Flow::Close) | Err(_) => return (out.len(), true),
        }
    }
    (out.len(), false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn faults_free_everything(faults in prop::collection::vec(fault(), 0..5)) {
        static HOUSE: LazyLock<(Picker, Arc<Core>)> = LazyLock::new(|| house::uniform(3));
        let (picker, core) = &*HOUSE;
        let messages = faulty(&faults);
        let mut machine = picker.machine();
        let (answers, _) = feed(&mut machine, &messages);
        // Pieces may be joined and trailers split, but a flood would be a defect.
        prop_assert!(answers <= 3 * messages.len() + 3);
        drop(machine);
        prop_assert_eq!(house::held(core), (0, 0));
    }

    #[test]
    fn buffered_and_hidden_bodies_are_answered_once_each(
        request_mode in 0..6_i32,
        response_mode in 0..6_i32,
        faults in prop::collection::vec(fault(), 0..3),
    ) {
        use envoy_types::pb::envoy::service::ext_proc::v3::ProtocolConfiguration;
        static HOUSE: LazyLock<(Picker, Arc<Core>)> = LazyLock::new(|| house::uniform(3));
        let (picker, core) = &*HOUSE;
        let mut machine = picker.machine();
        let mut out = Outbox::new();
        for (index, message) in faulty(&faults).iter().enumerate() {
            let mut message: ProcessingRequest = wire::request(message);
            if index == 0 {
                message.protocol_config = Some(ProtocolConfiguration {
                    request_body_mode: request_mode,
                    response_body_mode: response_mode,
                    send_body_without_waiting_for_header_response: false,
                });
            }
            if !matches!(machine.on(message, &mut out), Ok(Flow::Open)) {
                break;
            }
        }
        drop(machine);
        prop_assert_eq!(house::held(core), (0, 0));
    }
}

#[test]
fn each_prefix_of_an_exchange_frees_what_it_held() {
    for length in 0..=exchange().len() {
        let (picker, core) = house::uniform(2);
        let mut machine = picker.machine();
        feed(&mut machine, &exchange()[..length]);
        let (booked, _) = house::held(&core);
        let under_way = (3..exchange().len()).contains(&length);
        assert_eq!(booked, u64::from(under_way), "after {length} messages");
        drop(machine);
        assert_eq!(house::held(&core), (0, 0), "after {length} messages");
    }
}

#[test]
fn messages_after_their_end_close_the_stream() {
    let (picker, _core) = house::uniform(2);
    let mut machine = picker.machine();
    let mut messages = exchange()[..3].to_vec();
    messages.push(json!({"requestBody": {"body": encoded("more")}}));
    assert_eq!(feed(&mut machine, &messages), (2, true));
    let mut machine = picker.machine();
    let twice = vec![exchange()[0].clone(), exchange()[0].clone()];
    assert!(feed(&mut machine, &twice).1);
}

#[test]
fn a_body_that_stalls_is_answered() {
    let (picker, core) = house::uniform(2);
    let mut machine = picker.machine();
    feed(&mut machine, &exchange()[..2]);
    assert!(machine.patience().is_some());
    let mut out = Outbox::new();
    assert_eq!(machine.wake(&mut out), Flow::Close);
    let Some(Response::ImmediateResponse(reply)) =
        out.pop_front().and_then(|answer| answer.response)
    else {
        panic!("no immediate answer");
    };
    assert_eq!(reply.status.unwrap().code, 408);
    drop(machine);
    assert_eq!(house::held(&core), (0, 0));
}

#[test]
fn a_request_that_ends_in_trailers_is_answered_head_body_and_trailers() {
    let (picker, _core) = house::uniform(2);
    let mut machine = picker.machine();
    let mut out = Outbox::new();
    let messages = [
        exchange()[0].clone(),
        json!({"requestBody": {"body": encoded(BODY)}}),
        json!({"requestTrailers": {}}),
    ];
    for message in &messages {
        machine.on(wire::request(message), &mut out).unwrap();
    }
    let answers: Vec<Value> = out.iter().map(wire::response).collect();
    assert!(answers[0].get("requestHeaders").is_some());
    let piece = &answers[1]["requestBody"]["response"]["bodyMutation"]["streamedResponse"];
    assert_eq!(piece["body"], encoded(BODY));
    assert_eq!(
        piece.get("endOfStream"),
        None,
        "the trailers end the request"
    );
    assert!(answers[2].get("requestTrailers").is_some());
    assert_eq!(answers.len(), 3);
}

#[test]
fn the_endpoint_that_really_served_is_booked() {
    let (picker, core) = house::uniform(3);
    let mut machine = picker.machine();
    let mut out = Outbox::new();
    for message in &exchange()[..3] {
        machine.on(wire::request(message), &mut out).unwrap();
    }
    let told = wire::response(&out[0]);
    let told = told["dynamicMetadata"]["envoy.lb"]["x-gateway-destination-endpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    let view = core.view();
    let pool = view.pools.values().next().unwrap();
    let endpoints = pool.state.endpoints.current();
    let other = endpoints
        .endpoints
        .iter()
        .find(|endpoint| endpoint.address().to_string() != told)
        .unwrap();
    let mut answer = exchange()[3].clone();
    answer["metadataContext"] = json!({"filterMetadata": {"envoy.lb":
        {"x-gateway-destination-endpoint-served": other.address().to_string()}}});
    machine.on(wire::request(&answer), &mut out).unwrap();
    let booked: Vec<String> = endpoints
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.ledger().view().requests > 0)
        .map(|endpoint| endpoint.address().to_string())
        .collect();
    assert_eq!(booked, [other.address().to_string()]);
}
