//! Requests through all phases, on a virtual clock, without a socket.

mod support;

use std::time::Duration;

use lifecycle::{AttemptFailure, Close, Ending, Reason, Settings, Verdict};
use support::{
    CATCH_ALL, POOL, answered, body_text, chat, house, push, reading, request, response, sent,
};

const EVENT: &str = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const USAGE: &str = "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":64}}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn a_streamed_chat_is_booked_watched_and_joined_to_its_decision() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    assert_eq!(house.in_flight(), 1);
    let picked = dispatch.endpoint().unwrap().name().clone();

    let mut head = response(200, "text/event-stream");
    let mut observing = dispatch.accept(&mut head);
    house.clock.advance(Duration::from_millis(250));
    assert_eq!(push(&mut observing, EVENT), EVENT);
    assert_eq!(push(&mut observing, USAGE), USAGE);
    assert_eq!(push(&mut observing, DONE), DONE);
    assert_eq!(
        observing.end(&mut |_| panic!("nothing to add to a complete stream")),
        Close::Clean
    );

    assert_eq!(house.in_flight(), 0);
    assert_eq!(house.endings(), [Ending::Completed]);
    let record = &house.core.decisions().latest(1, |_| true)[0];
    let outcome = record.outcome().unwrap();
    assert_eq!(outcome.served, Some(picked));
    assert_eq!(outcome.ttft, Some(Duration::from_millis(250)));
    let usage = outcome.usage.unwrap();
    assert_eq!(
        (
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.output_tokens
        ),
        (Some(100), Some(64), Some(5))
    );
    assert!(head.headers.contains_key("x-request-id"));
}

#[test]
fn dropping_any_phase_frees_everything_and_counts_as_cancelled() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let mut half_read = reading(house.receive(request("POST", "/v1/chat/completions", &[]), true));
    half_read.feed("{\"model\":".into()).unwrap();
    assert_eq!(house.core.body_budget().used(), 9);
    drop(half_read);

    drop(sent(house.post(
        "/v1/chat/completions",
        &[],
        &chat("m", "hello"),
    )));

    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    let mut observing = dispatch.accept(&mut response(200, "text/event-stream"));
    push(&mut observing, EVENT);
    drop(observing);

    assert_eq!(house.endings(), [Ending::ClientCancelled; 3]);
    assert_eq!(
        (
            house.in_flight(),
            house.core.body_budget().used(),
            house.core.requests().used()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_client_that_closes_right_after_the_end_marker_has_its_whole_answer() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    let mut observing = dispatch.accept(&mut response(200, "text/event-stream"));
    push(&mut observing, &[EVENT, DONE].concat());
    drop(observing);
    assert_eq!(house.endings(), [Ending::Completed]);
}

#[test]
fn the_body_budget_is_free_once_the_answer_begins() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let body = chat("m", "hello");
    let dispatch = sent(house.post("/v1/chat/completions", &[], &body));
    assert_eq!(house.core.body_budget().used(), body.len() as u64);
    let _observing = dispatch.accept(&mut response(200, "text/event-stream"));
    assert_eq!(house.core.body_budget().used(), 0);
}

#[test]
fn a_refused_connection_moves_the_request_and_its_booking_to_the_next_endpoint() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    let first = dispatch.endpoint().unwrap().clone();
    let Verdict::Again(dispatch, pause) = dispatch.failed(AttemptFailure::Connect, true) else {
        panic!("gave up")
    };
    let second = dispatch.endpoint().unwrap().clone();
    assert_ne!(first.name(), second.name());
    assert!(pause.is_zero());
    assert_eq!(first.ledger().view().requests, 0);
    assert_eq!(second.ledger().view().requests, 1);
    assert!(first.health().is_suspect(house.core.now()));

    let Verdict::Reply(reply) = dispatch.failed(AttemptFailure::Connect, true) else {
        panic!("a third endpoint?")
    };
    assert_eq!(reply.status, 502);
    assert_eq!(
        house.endings(),
        [Ending::Refused(Reason::UpstreamUnreachable)]
    );
    assert_eq!(house.in_flight(), 0);
    let outcome = house.core.decisions().latest(1, |_| true)[0]
        .outcome()
        .unwrap();
    assert_eq!(outcome.failed_attempts.len(), 2);
}

#[test]
fn a_503_goes_to_the_next_endpoint_and_the_last_one_reaches_the_client() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    assert!(dispatch.wants_retry(http::StatusCode::SERVICE_UNAVAILABLE));
    assert!(!dispatch.wants_retry(http::StatusCode::INTERNAL_SERVER_ERROR));
    let Verdict::Again(dispatch, _) = dispatch.failed(AttemptFailure::Status(503), true) else {
        panic!("gave up")
    };
    assert!(
        !dispatch.wants_retry(http::StatusCode::SERVICE_UNAVAILABLE),
        "both endpoints were tried"
    );
}

#[test]
fn a_stream_that_breaks_off_or_ends_without_its_marker_ends_in_an_error_event() {
    for ends_cleanly in [true, false] {
        let house = house(&[POOL, CATCH_ALL], Settings::default());
        let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
        let mut observing = dispatch.accept(&mut response(200, "text/event-stream"));
        push(&mut observing, EVENT);
        assert_eq!(
            push(&mut observing, "data: {\"unfinished"),
            "",
            "half an event stays back"
        );
        let mut out = String::new();
        let mut take = |piece: bytes::Bytes| out.push_str(std::str::from_utf8(&piece).unwrap());
        let close = if ends_cleanly {
            observing.end(&mut take)
        } else {
            observing.upstream_broke(&mut take)
        };
        assert_eq!(close, Close::Clean);
        let last_event = out
            .split("\n\n")
            .find(|event| event.contains("\"error\""))
            .unwrap_or_else(|| panic!("no error event in {out:?}"));
        assert!(last_event.starts_with("data: {"), "{last_event}");
        assert!(last_event.contains("upstream_failed"));
        assert_eq!(house.endings(), [Ending::Refused(Reason::UpstreamFailed)]);
    }
}

#[test]
fn a_whole_answer_that_breaks_off_is_aborted() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let dispatch = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    let mut observing = dispatch.accept(&mut response(200, "application/json"));
    push(&mut observing, "{\"id\":");
    assert_eq!(observing.upstream_broke(&mut |_| ()), Close::Abort);
}

#[test]
fn the_same_prefix_goes_to_the_endpoint_that_has_it() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let long = "lorem ipsum dolor sit amet ".repeat(400);
    let mut picked = std::collections::BTreeSet::new();
    for turn in 0..6 {
        let dispatch = sent(house.post(
            "/v1/chat/completions",
            &[],
            &chat("m", &format!("{long}{turn}")),
        ));
        picked.insert(dispatch.endpoint().unwrap().name().to_string());
        let mut observing = dispatch.accept(&mut response(200, "text/event-stream"));
        house.clock.advance(Duration::from_millis(80));
        push(&mut observing, &[EVENT, DONE].concat());
        let _ = observing.end(&mut |_| ());
        house.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(picked.len(), 1, "{picked:?}");
}

#[test]
fn a_negative_priority_is_shed_while_the_pool_is_saturated_and_nothing_else_is() {
    const BATCH: &str = "
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceObjective
metadata: {name: batch, namespace: default}
spec: {priority: -1, poolRef: {name: chat}}
";
    let house = house(&[POOL, CATCH_ALL, BATCH], Settings::default());
    // Nothing was scraped: for work that may be dropped, an unknown pool is a full one.
    let body = chat("m", "hello");
    let reply = answered(house.post(
        "/v1/chat/completions",
        &[("x-gateway-inference-objective", "batch")],
        &body,
    ));
    assert_eq!(reply.status, 429);
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(
        reply.headers["x-llm-d-request-dropped-reason"],
        "rejected-saturated"
    );
    let dispatch = sent(house.post(
        "/v1/chat/completions",
        &[("x-gateway-inference-objective", "unknown")],
        &body,
    ));
    assert!(
        !dispatch
            .headers()
            .contains_key("x-gateway-inference-objective"),
        "control headers stay in the house"
    );
}

#[test]
fn a_draining_or_full_gateway_says_so() {
    let house = house(
        &[POOL, CATCH_ALL],
        Settings {
            requests_max: 1,
            ..Settings::default()
        },
    );
    let held = sent(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    let reply = answered(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["x-plimsoll-reason"]),
        (429, &"too_many_requests".parse().unwrap())
    );
    drop(held);
    drop(sent(house.post(
        "/v1/chat/completions",
        &[],
        &chat("m", "hello"),
    )));
    house.core.drain();
    let reply = answered(house.post("/v1/chat/completions", &[], &chat("m", "hello")));
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["x-plimsoll-reason"]),
        (503, &"shutting_down".parse().unwrap())
    );
}

#[test]
fn bodies_are_sent_on_byte_for_byte() {
    let house = house(&[POOL, CATCH_ALL], Settings::default());
    let body = "{ \"seed\": 18446744073709551617,\n \"model\" : \"m\", \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}] }";
    let dispatch = sent(house.post("/v1/chat/completions", &[], body));
    assert_eq!(body_text(&dispatch), body);
}
