//! One request as Envoy shows it.

use std::time::{Duration, Instant};

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, ProcessingResponse, body_mutation::Mutation,
};

use super::link::{Link, Stream};
use super::messages::Messages;
use super::options::{BodyMode, EppOptions, Pace};

/// What came of a request.
#[derive(Debug, Clone)]
pub(super) struct Done {
    /// From the last message of the request to the destination.
    pub(super) pick: Duration,
    /// From the first message to the end of the answer.
    pub(super) whole: Duration,
    /// Where it was sent; `None` for an immediate answer.
    pub(super) destination: Option<String>,
    /// Status of an immediate answer.
    pub(super) refused: Option<i32>,
    /// Whether the picker asked not to be shown the answer.
    pub(super) spared: bool,
}

const DESTINATION: &str = "x-gateway-destination-endpoint";

/// Plays one request to its end.
pub(super) async fn play(
    link: &mut Link,
    messages: &Messages,
    options: &EppOptions,
    number: u64,
) -> Result<Done, String> {
    let request = messages.request(number);
    let begun = Instant::now();
    let mut stream = match options.body_mode {
        BodyMode::FullDuplex => {
            let mut first = vec![request.head];
            first.extend(request.body);
            link.begin(first).await?
        }
        BodyMode::Buffered => {
            let mut stream = link.begin(vec![request.head]).await?;
            expect(&mut stream, "the request head").await?;
            request
                .body
                .into_iter()
                .for_each(|piece| stream.send(piece));
            stream
        }
    };
    let sent = Instant::now();
    let picked = destination(&mut stream).await?;
    let mut done = Done {
        pick: sent.elapsed(),
        whole: Duration::ZERO,
        destination: None,
        refused: None,
        spared: false,
    };
    match picked {
        Picked::At(destination) => done.destination = Some(destination),
        Picked::Refused(status) => {
            done.refused = Some(status);
            done.whole = begun.elapsed();
            return Ok(done);
        }
    }
    if options.body_mode == BodyMode::FullDuplex {
        until_end(&mut stream, |response| match response {
            Response::RequestBody(reply) => Some(reply),
            _ => None,
        })
        .await?;
    }
    stream.send(messages.response_head.clone());
    let head = expect(&mut stream, "the response head").await?;
    let hidden = head
        .mode_override
        .is_some_and(|mode| mode.response_body_mode == i32::from(BodySendMode::None));
    done.spared = hidden && !options.no_mode_override;
    if !done.spared {
        answer(&mut stream, messages, options).await?;
    }
    done.whole = begun.elapsed();
    Ok(done)
}

async fn expect(stream: &mut Stream, what: &str) -> Result<ProcessingResponse, String> {
    match stream.next().await? {
        Some(answer) => Ok(answer),
        None => Err(format!("the stream ended before {what} was answered")),
    }
}

enum Picked {
    At(String),
    Refused(i32),
}

async fn destination(stream: &mut Stream) -> Result<Picked, String> {
    let answer = expect(stream, "the request").await?;
    let common = match answer.response {
        Some(Response::ImmediateResponse(reply)) => {
            return Ok(Picked::Refused(
                reply.status.map_or(0, |status| status.code),
            ));
        }
        Some(Response::RequestHeaders(reply)) => reply.response,
        Some(Response::RequestBody(reply)) => reply.response,
        _ => return Err("the request was not answered by a head or body".to_owned()),
    };
    let headers = common
        .and_then(|common| common.header_mutation)
        .unwrap_or_default()
        .set_headers;
    headers
        .into_iter()
        .filter_map(|option| option.header)
        .find(|header| header.key == DESTINATION)
        .map(|header| Picked::At(String::from_utf8_lossy(&header.raw_value).into_owned()))
        .ok_or_else(|| format!("the answer sets no {DESTINATION}"))
}

async fn answer(
    stream: &mut Stream,
    messages: &Messages,
    options: &EppOptions,
) -> Result<(), String> {
    let each = options.pace == Pace::Lockstep || options.body_mode == BodyMode::Buffered;
    // Whole answers are given back in one piece, so that there is nothing to wait for in between.
    if each && !options.no_stream {
        for event in &messages.events {
            stream.send(event.clone());
            expect(stream, "an event").await?;
        }
        return Ok(());
    }
    messages
        .events
        .iter()
        .for_each(|event| stream.send(event.clone()));
    if options.body_mode == BodyMode::Buffered {
        for _ in &messages.events {
            expect(stream, "a piece").await?;
        }
        return Ok(());
    }
    until_end(stream, |response| match response {
        Response::ResponseBody(reply) => Some(reply),
        _ => None,
    })
    .await
}

/// Reads pieces of one half until the one that ends it.
async fn until_end(
    stream: &mut Stream,
    half: impl Fn(Response) -> Option<BodyResponse>,
) -> Result<(), String> {
    loop {
        let answer = expect(stream, "a body").await?;
        let common: Option<CommonResponse> = answer
            .response
            .and_then(&half)
            .and_then(|reply| reply.response);
        let mutation = common.and_then(|common| common.body_mutation?.mutation);
        match mutation {
            Some(Mutation::StreamedResponse(piece)) if !piece.end_of_stream => {}
            _ => return Ok(()),
        }
    }
}
