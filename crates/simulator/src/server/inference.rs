//! One inference request from its body to its answer.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Shared,
    answer::{self, Meta},
    body::{Answer, Sequence, TokenStream, usage},
    failure::{Envelope, Failure},
    models::Served,
    plan::Job,
    recorder::unix_seconds,
    request::{self, Api, Ask},
    text,
};

/// Bodies above this are read and hashed off the async workers, bytes.
const LARGE_BODY: usize = 128 << 10;
/// Longest request id taken over from a client, bytes.
const REQUEST_ID_MAX: usize = 128;

/// What is to be done, with its answer's head.
struct Plan {
    served: Served,
    jobs: Vec<Job>,
    stream: bool,
    include_usage: bool,
    base64: bool,
    dimensions: Option<u32>,
    request_id: Option<String>,
}

/// Answers a request; failures come in the API's envelope.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    api: Api,
    headers: &HeaderMap,
    body: Incoming,
) -> Response<Answer> {
    match run(shared, api, headers, body).await {
        Ok(response) => response,
        Err(failure) => failed(api, &failure),
    }
}

fn failed(api: Api, failure: &Failure) -> Response<Answer> {
    let envelope = match api {
        Api::Messages | Api::CountTokens => Envelope::Anthropic,
        _ => Envelope::OpenAi,
    };
    whole(failure.status, failure.body(envelope))
}

async fn run(
    shared: &Arc<Shared>,
    api: Api,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Answer>, Failure> {
    // The body first, as vLLM does: an answer ahead of it would break the client's connection.
    let bytes = read(body, shared.config.max_body_bytes).await?;
    faults(shared).await?;
    match api {
        Api::CountTokens => return count_tokens(shared, &bytes),
        Api::Tokenize => return tokenize(shared, &bytes),
        _ => {}
    }
    let plan = prepare(shared, api, bytes).await?;
    // Submitted one by one: when a later one is refused, the earlier tickets abort theirs.
    let mut sequences = Vec::with_capacity(plan.jobs.len());
    for Job { submission, output } in plan.jobs {
        let ticket = shared.core.submit(submission, output.limited)?;
        sequences.push(Sequence::new(ticket, output));
    }
    let meta = Meta {
        id: answer_id(shared, api, headers, plan.request_id),
        model: plan.served.name,
        created: unix_seconds() as u64,
        include_usage: plan.include_usage,
        details: shared.config.prompt_tokens_details,
    };
    let outputs: Vec<_> = sequences.iter().map(|sequence| sequence.output).collect();
    if plan.stream
        && let Some(frames) = answer::frames(api, &meta, &outputs)
    {
        let cut_after = shared.faults.load().cut_stream_after;
        return Ok(stream(TokenStream::new(sequences, frames, cut_after)));
    }
    for sequence in &sequences {
        sequence.ticket.done().await;
    }
    let usage = usage(&sequences);
    let value = if api == Api::Embeddings {
        answer::embeddings(&meta, &outputs, usage, plan.dimensions, plan.base64)
    } else {
        answer::whole(api, &meta, &outputs, usage)
    };
    Ok(whole(StatusCode::OK, value.to_string().into_bytes()))
}

/// Counts the request and lets the configured faults have it.
async fn faults(shared: &Shared) -> Result<(), Failure> {
    let arrival = shared.arrive();
    let faults = shared.faults.load_full();
    if faults.extra_latency_ms > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(faults.extra_latency_ms / 1000.0)).await;
    }
    if faults.unavailable {
        let message = "The server is unavailable by configuration.";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, message));
    }
    let draw = xxh3_64_with_seed(&arrival.to_le_bytes(), shared.config.seed) >> 11;
    if (draw as f64) < faults.error_rate * (1_u64 << 53) as f64 {
        let status = StatusCode::from_u16(faults.error_status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Err(Failure::new(status, "An error by configuration."));
    }
    Ok(())
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body is larger than {limit} bytes."),
        )),
        Err(_) => Err(Failure::bad("the body ended before it was complete")),
    }
}

async fn prepare(shared: &Arc<Shared>, api: Api, bytes: Bytes) -> Result<Plan, Failure> {
    if bytes.len() <= LARGE_BODY {
        return plan(shared, api, &bytes);
    }
    let shared = Arc::clone(shared);
    let planned = tokio::task::spawn_blocking(move || plan(&shared, api, &bytes)).await;
    planned.unwrap_or_else(|error| {
        Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            io::Error::other(error).to_string(),
        ))
    })
}

fn plan(shared: &Shared, api: Api, bytes: &[u8]) -> Result<Plan, Failure> {
    let mut ask = request::read(api, bytes)?;
    let served = resolve(shared, &ask)?;
    let request_id = ask.request_id.take();
    let (stream, include_usage) = (ask.stream, ask.include_usage);
    let (base64, dimensions) = (ask.base64, ask.dimensions);
    let jobs = shared.planner.jobs(ask, &served)?;
    Ok(Plan {
        served,
        jobs,
        stream,
        include_usage,
        base64,
        dimensions,
        request_id,
    })
}

fn resolve(shared: &Shared, ask: &Ask) -> Result<Served, Failure> {
    let name = ask.model.as_deref();
    let served = shared.models().resolve(name);
    served.ok_or_else(|| Failure::unknown_model(name.unwrap_or_default()))
}

fn count_tokens(shared: &Shared, bytes: &[u8]) -> Result<Response<Answer>, Failure> {
    let ask = request::read(Api::CountTokens, bytes)?;
    resolve(shared, &ask)?;
    let tokens: u32 = ask
        .prompts
        .iter()
        .map(|prompt| text::count(prompt.len()))
        .sum();
    Ok(value(&json!({"input_tokens": tokens})))
}

fn tokenize(shared: &Shared, bytes: &[u8]) -> Result<Response<Answer>, Failure> {
    let ask = request::read(Api::Tokenize, bytes)?;
    resolve(shared, &ask)?;
    let ids: Vec<u32> = ask
        .prompts
        .iter()
        .flat_map(|prompt| text::to_ids(prompt))
        .collect();
    let max_model_len = shared.config.max_model_len;
    let count = ids.len();
    Ok(value(&json!({
        "count": count, "max_model_len": max_model_len, "tokens": ids, "token_strs": null,
    })))
}

/// The id of the answer: the client's request id behind the API's prefix, or a number of ours.
fn answer_id(shared: &Shared, api: Api, headers: &HeaderMap, given: Option<String>) -> String {
    let header = headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok());
    let id = given.or_else(|| header.map(str::to_owned));
    let id = id.filter(|id| id.len() <= REQUEST_ID_MAX && !id.is_empty());
    let id = id.unwrap_or_else(|| {
        let number = shared.next_id();
        let high = xxh3_64_with_seed(shared.config.name.as_bytes(), number);
        format!("{high:016x}{number:016x}")
    });
    format!("{}{id}", answer::id_prefix(api))
}

/// A JSON answer with status 200.
pub(super) fn value(value: &Value) -> Response<Answer> {
    whole(StatusCode::OK, value.to_string().into_bytes())
}

/// A JSON answer.
pub(super) fn whole(status: StatusCode, body: Vec<u8>) -> Response<Answer> {
    let mut response = Response::new(Answer::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn stream(body: TokenStream) -> Response<Answer> {
    let mut response = Response::new(Answer::Stream(Box::new(body)));
    let headers = response.headers_mut();
    let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, events);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
