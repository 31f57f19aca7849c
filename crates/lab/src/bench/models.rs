//! Which model to ask for when the user named none.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use super::CommonOptions;
use crate::answer;
use crate::client::{Client, Target};
use crate::error::LabError;

/// The models of the options, or the first that the first endpoint lists.
pub(super) async fn names(
    common: &CommonOptions,
    targets: &[Target],
) -> Result<Vec<Arc<str>>, LabError> {
    if !common.models.is_empty() {
        return Ok(common
            .models
            .iter()
            .map(|name| Arc::from(name.as_str()))
            .collect());
    }
    let Some(target) = targets.first() else {
        return Err(LabError::Plan("no endpoint to send to".to_owned()));
    };
    let first = list(target, &common.header_map())
        .await
        .map_err(|why| LabError::Endpoint {
            url: target.url().to_owned(),
            what: format!("cannot ask for its models ({why}); name one with --model"),
        })?;
    Ok(vec![Arc::from(first)])
}

async fn list(target: &Target, headers: &HeaderMap) -> Result<String, String> {
    use http_body_util::{BodyExt, Limited};
    let client = Client::new(target.clone())
        .await
        .map_err(|error| error.to_string())?;
    let mut request = target.post("/v1/models", headers, bytes::Bytes::new());
    *request.method_mut() = Method::GET;
    request.headers_mut().remove(http::header::CONTENT_TYPE);
    request.headers_mut().insert(
        http::header::ACCEPT,
        HeaderValue::from_static("application/json"),
    );
    let (response, _sender) = client
        .send(request)
        .await
        .map_err(|failure| failure.detail)?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("GET /v1/models answered {status}"));
    }
    let body = Limited::new(response.into_body(), 1 << 20).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let ids = answer::model_ids(&body).ok_or("GET /v1/models gave no model list")?;
    ids.into_iter()
        .next()
        .ok_or_else(|| "it serves none".to_owned())
}
