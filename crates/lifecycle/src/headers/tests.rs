use super::*;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            )
        })
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

#[test]
fn rfc9110_7_6_1_hop_by_hop_headers_and_those_named_by_connection_are_removed() {
    let mut headers = map(&[
        ("connection", "close, X-Secret-Hop"),
        ("x-secret-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic x"),
        ("accept", "text/event-stream"),
    ]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(headers, map(&[("accept", "text/event-stream")]));
}

#[test]
fn te_trailers_survives_and_other_te_values_do_not() {
    let mut headers = map(&[("te", "gzip, Trailers")]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(headers, map(&[("te", "trailers")]));
    let mut headers = map(&[("te", "gzip")]);
    strip_hop_by_hop(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn client_sent_routing_headers_are_removed_in_every_copy() {
    let mut headers = map(&[
        ("x-gateway-model-name", "spoof"),
        ("x-gateway-model-name", "spoof2"),
        ("x-gateway-base-model-name", "spoof"),
        ("x-gateway-destination-endpoint", "10.0.0.1:1"),
        ("x-other", "stays"),
    ]);
    strip_reserved(&mut headers);
    assert_eq!(headers, map(&[("x-other", "stays")]));
}

#[test]
fn request_ids() {
    for (given, kept) in [
        (Some("abc-123"), true),
        (Some("has space"), false),
        (Some(""), false),
        (Some(&*"x".repeat(128)), true),
        (Some(&*"x".repeat(129)), false),
        (None, false),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(REQUEST_ID, given.parse().unwrap());
        }
        let id = ensure_request_id(&mut headers, 0x1234);
        assert_eq!(headers.get(REQUEST_ID), Some(&id));
        assert_eq!(given.is_some_and(|given| id == given), kept, "{given:?}");
    }
}

#[test]
fn made_request_ids_are_version_4_uuids() {
    let text = uuid(u128::MAX);
    assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

#[test]
fn a_valid_trace_is_continued_under_a_new_span() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut headers = map(&[("traceparent", parent), ("tracestate", "a=b")]);
    let trace = continue_trace(&mut headers, 9, 0xabc);
    assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        headers["traceparent"],
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01"
    );
    assert_eq!(headers["tracestate"], "a=b");
}

#[test]
fn invalid_traceparents_start_a_new_trace() {
    for bad in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
    ] {
        let mut headers = map(&[("traceparent", bad), ("tracestate", "a=b")]);
        let trace = continue_trace(&mut headers, 9, 1);
        assert_eq!(trace, format!("{:032x}", 9), "{bad}");
        assert!(!headers.contains_key("tracestate"), "{bad}");
    }
}
