//! Many streams at once.

use std::time::Duration;

use serde_json::json;

use crate::house;
use crate::play::Stream;

const STREAMS: usize = 5_000;

/// Five thousand exchanges are open at the same time, each told its destination and none yet answered. When the proxy
/// goes away, all that they held is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_streams_are_open_at_once_and_leave_nothing() {
    let (picker, core) = house::uniform(8);
    let client = house::serve(picker).await;
    let mut streams = Vec::with_capacity(STREAMS);
    for index in 0..STREAMS {
        let mut client = client.clone();
        let stream = Stream::open(&mut client).await;
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD
            .encode(format!(r#"{{"model":"m","prompt":"{index}"}}"#));
        stream.send(&[
            json!({"requestHeaders": {"headers": {"headers": [{"key": ":path", "value": "/v1/completions"}]}}}),
            json!({"requestBody": {"body": body, "endOfStream": true}}),
        ]);
        streams.push(stream);
    }
    for stream in &mut streams {
        let answers = stream.read(2).await;
        assert!(answers[0].get("requestHeaders").is_some(), "{answers:?}");
    }
    assert_eq!(house::held(&core).0, STREAMS as u64);
    drop(streams);
    drop(client);
    // The server hears of it as fast as the connection tells.
    for _ in 0..500 {
        if house::held(&core) == (0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still held: {:?}", house::held(&core));
}
