//! Faults on purpose, and the bounds that refuse.

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use simulator::{Faults, SimConfig};

use crate::harness::{config, read, start};

fn ask() -> Value {
    json!({"prompt": "x", "max_tokens": 20, "ignore_eos": true})
}

#[tokio::test]
async fn the_admin_endpoint_changes_what_it_names_within_bounds() {
    let server = start(config()).await;
    let (status, answer) = server
        .post(
            "/admin/config",
            &json!({"error_rate": 1.0, "error_status": 503}),
        )
        .await;
    assert_eq!(
        (status, &answer["faults"]["error_rate"]),
        (StatusCode::OK, &json!(1.0))
    );
    assert_eq!(
        server.post("/v1/completions", &ask()).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
    for bad in [
        json!({"error_rate": 2.0}),
        json!({"slow": 1}),
        json!({"error_status": "x"}),
    ] {
        assert_eq!(
            server.post("/admin/config", &bad).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
    let (_, text) = server.get("/admin/config").await;
    let kept: Value = serde_json::from_str(&text).expect("json");
    assert_eq!(kept["faults"]["error_status"], 503);
    server
        .post("/admin/config", &json!({"faults": {"error_rate": 0.0}}))
        .await;
    assert_eq!(
        server.post("/v1/completions", &ask()).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_error_rate_hits_its_share_and_the_same_requests_each_time() {
    let run = || async {
        let faults = Faults {
            error_rate: 0.3,
            ..Faults::default()
        };
        let server = start(SimConfig {
            faults,
            seed: 5,
            ..config()
        })
        .await;
        let mut failed = Vec::new();
        for number in 0..100 {
            if server
                .post("/v1/embeddings", &json!({"input": "x"}))
                .await
                .0
                != StatusCode::OK
            {
                failed.push(number);
            }
        }
        failed
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first, second);
    assert!((15..45).contains(&first.len()), "{}", first.len());
}

#[tokio::test]
async fn unavailable_answers_503_and_fails_its_health() {
    let server = start(config()).await;
    server
        .handle
        .set_faults(Faults {
            unavailable: true,
            ..Faults::default()
        })
        .expect("valid");
    assert_eq!(
        server.get("/health").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        server.post("/v1/completions", &ask()).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_cut_stream_breaks_off_after_its_tokens() {
    let faults = Faults {
        cut_stream_after: Some(3),
        ..Faults::default()
    };
    let server = start(SimConfig { faults, ..config() }).await;
    let mut body = ask();
    body["stream"] = json!(true);
    let mut response = server.open("/v1/completions", &body).await;
    let mut text = String::new();
    let error = loop {
        match response.frame().await {
            Some(Ok(frame)) => {
                let data = frame.into_data().expect("data");
                text.push_str(std::str::from_utf8(&data).expect("text"));
            }
            end => break end,
        }
    };
    assert!(error.is_some_and(|end| end.is_err()), "not a clean end");
    assert_eq!(text.matches("data: ").count(), 3);
    server.idle().await;
}

#[tokio::test]
async fn a_crash_drops_every_connection_and_the_port() {
    let server = start(SimConfig {
        time_scale: 1.0,
        ..config()
    })
    .await;
    let body = json!({"prompt": "x", "max_tokens": 100_000, "ignore_eos": true, "stream": true});
    let mut open = server.open("/v1/completions", &body).await;
    open.frame().await.expect("a frame").expect("data");
    server
        .handle
        .set_faults(Faults {
            crash_after: Some(1),
            ..Faults::default()
        })
        .expect("valid");
    let request = server.request(Method::POST, "/v1/completions", &ask().to_string());
    assert!(server.client.request(request).await.is_err());
    let error = server.task.await.expect("no panic").expect_err("crashed");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    while let Some(Ok(_)) = open.frame().await {}
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_full_queue_answers_429() {
    let server = start(SimConfig {
        max_num_seqs: 1,
        max_waiting: 2,
        time_scale: 1.0,
        faults: Faults {
            slow_factor: 100.0,
            ..Faults::default()
        },
        ..config()
    })
    .await;
    let body = json!({"prompt": "x", "max_tokens": 50, "ignore_eos": true, "stream": true});
    // The first one's step is under way when the others come, so they wait.
    let first = server.open("/v1/completions", &body).await;
    server.until(|stats| stats.used_blocks == 1).await;
    let others = [
        server.open("/v1/completions", &body).await,
        server.open("/v1/completions", &body).await,
    ];
    let refused = server.open("/v1/completions", &body).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let (_, text) = read(refused).await;
    let error: Value = serde_json::from_str(&text).expect("json");
    assert_eq!(
        (
            &error["error"]["code"],
            error["error"]["message"].is_string()
        ),
        (&json!(429), true)
    );
    drop((first, others));
    server.idle().await;
}
