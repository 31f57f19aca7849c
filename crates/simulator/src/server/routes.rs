//! Which endpoint answers which path, and the endpoints that do not run the engine.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared,
    body::Answer,
    failure::{Envelope, Failure},
    inference::{self, value, whole},
    metrics,
    models::{AdapterError, Models},
    recorder::unix_seconds,
    request::Api,
};
use crate::config::Faults;

/// Largest body of the administrative endpoints, bytes.
const ADMIN_BODY_MAX: usize = 64 << 10;
/// Longest name and path of an adapter, bytes.
const ADAPTER_NAME_MAX: usize = 512;

/// Answers one request.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Answer> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let mut response = match inference_api(path) {
        Some(api) if parts.method == Method::POST => {
            inference::answer(&shared, api, &parts.headers, body).await
        }
        Some(_) => detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        None => other(&shared, &parts.method, path, body).await,
    };
    mark(&shared, &parts.headers, response.headers_mut());
    response
}

fn inference_api(path: &str) -> Option<Api> {
    Some(match path {
        "/v1/chat/completions" => Api::Chat,
        "/v1/completions" => Api::Completions,
        "/v1/responses" => Api::Responses,
        "/v1/messages" => Api::Messages,
        "/v1/messages/count_tokens" => Api::CountTokens,
        "/v1/embeddings" => Api::Embeddings,
        "/inference/v1/generate" => Api::Generate,
        "/tokenize" => Api::Tokenize,
        _ => return None,
    })
}

async fn other(shared: &Shared, method: &Method, path: &str, body: Incoming) -> Response<Answer> {
    match (method, path) {
        (&Method::GET, "/health" | "/health/ready" | "/ping") => health(shared),
        (&Method::GET, "/metrics") => metrics::answer(shared),
        (&Method::GET, "/v1/models") => value(&models(shared)),
        (&Method::GET, "/version") => value(&json!({"version": env!("CARGO_PKG_VERSION")})),
        (&Method::GET, "/admin/config") => value(&json!({"faults": **shared.faults.load()})),
        (&Method::POST, "/admin/config") => reply(configure(shared, body).await),
        (&Method::POST, "/v1/load_lora_adapter") => reply(load_adapter(shared, body).await),
        (&Method::POST, "/v1/unload_lora_adapter") => reply(unload_adapter(shared, body).await),
        _ => detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// Headers that every answer carries.
fn mark(shared: &Shared, request: &HeaderMap, response: &mut HeaderMap) {
    if let Ok(name) = HeaderValue::from_str(&shared.config.name) {
        response.insert("x-inference-pod", name);
    }
    if let Some(id) = request.get("x-request-id") {
        response.insert("x-request-id", id.clone());
    }
}

fn health(shared: &Shared) -> Response<Answer> {
    if shared.faults.load().unavailable {
        return detail(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable by configuration",
        );
    }
    Response::new(Answer::from(Vec::new()))
}

fn detail(status: StatusCode, text: &str) -> Response<Answer> {
    whole(status, json!({"detail": text}).to_string().into_bytes())
}

fn reply(result: Result<Response<Answer>, Failure>) -> Response<Answer> {
    result.unwrap_or_else(|failure| whole(failure.status, failure.body(Envelope::OpenAi)))
}

fn models(shared: &Shared) -> Value {
    let models: &Models = &shared.models();
    let created = unix_seconds() as u64;
    let entry = |id: &str, root: &str, parent: Option<&str>, length: Option<u32>| {
        json!({
            "id": id,
            "object": "model",
            "created": created,
            "owned_by": "vllm",
            "root": root,
            "parent": parent,
            "max_model_len": length,
            "permission": [],
        })
    };
    let root = shared.config.model.as_str();
    let length = Some(shared.config.max_model_len);
    let mut data: Vec<Value> = models
        .base()
        .iter()
        .map(|id| entry(id, root, None, length))
        .collect();
    data.extend(
        models
            .adapters()
            .map(|(id, adapter)| entry(id, &adapter.path, Some(root), None)),
    );
    json!({"object": "list", "data": data})
}

#[derive(Deserialize)]
struct AdapterRequest {
    lora_name: String,
    #[serde(default)]
    lora_path: String,
}

async fn load_adapter(shared: &Shared, body: Incoming) -> Result<Response<Answer>, Failure> {
    let request: AdapterRequest = admin_body(body).await?;
    if request.lora_name.is_empty() || request.lora_path.is_empty() {
        let message = "Both 'lora_name' and 'lora_path' must be provided.";
        return Err(Failure::bad(message));
    }
    if request.lora_name.len().max(request.lora_path.len()) > ADAPTER_NAME_MAX {
        let message = format!("'lora_name' and 'lora_path' hold at most {ADAPTER_NAME_MAX} bytes.");
        return Err(Failure::bad(message));
    }
    shared
        .models()
        .load(&request.lora_name, &request.lora_path)
        .map_err(|error| adapter_failure(&error))?;
    Ok(done(&format!(
        "LoRA adapter '{}' added successfully",
        request.lora_name
    )))
}

async fn unload_adapter(shared: &Shared, body: Incoming) -> Result<Response<Answer>, Failure> {
    let request: AdapterRequest = admin_body(body).await?;
    let adapter = shared
        .models()
        .unload(&request.lora_name)
        .map_err(|error| adapter_failure(&error))?;
    shared.core.unload_adapter(adapter);
    Ok(done(&format!(
        "LoRA adapter '{}' removed successfully",
        request.lora_name
    )))
}

fn adapter_failure(error: &AdapterError) -> Failure {
    let status = match error {
        AdapterError::Unknown { .. } => StatusCode::NOT_FOUND,
        AdapterError::Exists { .. } | AdapterError::Full { .. } => StatusCode::BAD_REQUEST,
    };
    Failure {
        param: Some("lora_name"),
        ..Failure::new(status, error.to_string())
    }
}

fn done(what: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::from(format!("Success: {what}.").into_bytes()));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// Changes the faults that the body names; the others stay.
async fn configure(shared: &Shared, body: Incoming) -> Result<Response<Answer>, Failure> {
    let change: serde_json::Map<String, Value> = admin_body(body).await?;
    // `{"faults": {...}}`, as GET answers, and the bare fields both do.
    let change = match change.get("faults") {
        Some(Value::Object(faults)) if change.len() == 1 => faults.clone(),
        _ => change,
    };
    let current = json!(**shared.faults.load());
    let Value::Object(mut fields) = current else {
        return Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "faults are not an object",
        ));
    };
    fields.extend(change);
    let faults: Faults = serde_json::from_value(Value::Object(fields))
        .map_err(|error| Failure::bad(error.to_string()))?;
    shared
        .set_faults(faults)
        .map_err(|error| Failure::bad(error.to_string()))?;
    Ok(value(&json!({"faults": **shared.faults.load()})))
}

async fn admin_body<T: for<'de> Deserialize<'de>>(body: Incoming) -> Result<T, Failure> {
    let collected = Limited::new(body, ADMIN_BODY_MAX).collect().await;
    let bytes = collected.map_err(|_| Failure::bad("the body is too large or incomplete"))?;
    serde_json::from_slice(&bytes.to_bytes()).map_err(|error| Failure::json(&error))
}
