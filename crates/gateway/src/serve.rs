//! One request through the phases of the lifecycle.

use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lifecycle::{Door, Reading, Received, Reply, Step};

use crate::answer::Answer;
use crate::forward::{ClientBody, forward};
use crate::outgoing::StreamSlot;
use crate::shared::Shared;

pub(crate) async fn serve(
    shared: Arc<Shared>,
    door: Door,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let received = match Received::new(&shared.core, door, parts) {
        Ok(received) => received,
        Err(reply) => return Answer::of_reply(*reply),
    };
    match received.proceed(has_body) {
        Step::Reply(reply) => Answer::of_reply(reply),
        Step::Send(dispatch) => {
            let slot = StreamSlot::new(body, shared.options.body_timeout);
            forward(&shared, dispatch, ClientBody::Stream(slot)).await
        }
        Step::Read(reading) => match read(&shared, reading, body).await {
            Ok((Step::Send(dispatch), trailers)) => {
                forward(&shared, dispatch, ClientBody::Read(trailers)).await
            }
            Ok((Step::Reply(reply), _)) | Err(Some(reply)) => Answer::of_reply(reply),
            // The lifecycle asks for a body once; and a client that broke off reads no answer.
            Ok((Step::Read(_), _)) | Err(None) => Answer::gone(),
        },
    }
}

/// Feeds the whole body. `Err(None)` when the client broke off, which drops the request.
async fn read(
    shared: &Shared,
    mut reading: Reading,
    mut body: Incoming,
) -> Result<(Step, Option<HeaderMap>), Option<Reply>> {
    let mut trailers = None;
    loop {
        let frame = match tokio::time::timeout(shared.options.body_timeout, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(None),
            Ok(None) => return Ok((reading.finish(), trailers)),
            Err(_) => return Err(Some(reading.stalled())),
        };
        match frame.into_data() {
            Ok(chunk) => {
                if let Err(refusal) = reading.feed(chunk) {
                    return Err(Some(reading.refuse(&refusal)));
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
}
