//! The admin port: metrics, health, and the last decisions. Not for clients; bind it where only operators reach it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lifecycle::Core;
use observe::{Compat, DecisionFilter, Metrics, decisions_json};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the admin port shows.
pub(crate) struct Admin {
    pub(crate) core: Arc<Core>,
    pub(crate) metrics: Arc<Metrics>,
    /// The same under other names, in the classic text format.
    pub(crate) compat: Vec<Arc<Compat>>,
    /// Whether our own names are served.
    pub(crate) native: bool,
}

const INDEX: &str = "plimsoll admin\n\n\
    /metrics            OpenMetrics text\n\
    /healthz            200 while the process works\n\
    /readyz             200 while it takes traffic; 503 with the reason otherwise\n\
    /debug/decisions    the last decisions with scores; ?pool=ns/name&model=M&request_id=ID&limit=N\n\
    /debug/endpoints    endpoints by pool with their signals and our own load on them\n";

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let admin = admin.clone();
        let stop = stop.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.answer(&request)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/" => text(StatusCode::OK, INDEX),
            "/metrics" => self.metrics(),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/debug/decisions" => match filter(request.uri().query().unwrap_or_default()) {
                Ok(filter) => json_answer(&decisions_json(&self.core, &filter)),
                Err(message) => text(StatusCode::BAD_REQUEST, message),
            },
            "/debug/endpoints" => json_answer(&self.endpoints()),
            _ => text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    /// Our own names alone are OpenMetrics; the reference's are the classic format, which may hold both.
    fn metrics(&self) -> Response<Full<Bytes>> {
        if self.compat.is_empty() {
            return of(StatusCode::OK, observe::CONTENT_TYPE, self.metrics.render());
        }
        let mut page: String = self.compat.iter().map(|names| names.render()).collect();
        if self.native {
            page.push_str(&self.metrics.render());
        }
        of(StatusCode::OK, observe::TEXT_CONTENT_TYPE, page)
    }

    /// Ready while not draining and while each pool that exists has an endpoint... or there is no pool at all.
    fn ready(&self) -> Response<Full<Bytes>> {
        if self.core.is_draining() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        let view = self.core.view();
        let empty = view
            .pools
            .values()
            .filter(|pool| pool.state.endpoints.current().endpoints.is_empty())
            .count();
        if empty > 0 && empty == view.pools.len() {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "no pool has a ready endpoint\n",
            );
        }
        text(StatusCode::OK, "ready\n")
    }

    fn endpoints(&self) -> serde_json::Value {
        let now = self.core.now();
        let view = self.core.view();
        let pools: serde_json::Map<_, _> = view
            .pools
            .iter()
            .map(|(name, pool)| {
                let endpoints: Vec<_> = pool
                    .state
                    .endpoints
                    .current()
                    .endpoints
                    .iter()
                    .map(|endpoint| {
                        let (signals, ledger) = (endpoint.signals().view(now), endpoint.ledger().view());
                        json!({
                            "name": &**endpoint.name(),
                            "address": endpoint.address().to_string(),
                            "engine": format!("{:?}", signals.engine),
                            "suspect": endpoint.health().is_suspect(now),
                            "sleeping": signals.sleeping,
                            "signal_age_ms": signals.age.map(|age| age.as_millis()),
                            "waiting": signals.scraped.waiting,
                            "running": signals.scraped.running,
                            "kv_usage": signals.scraped.kv_usage,
                            "kv_capacity_tokens": signals.kv_capacity_tokens(),
                            "inflight_requests": ledger.requests,
                            "inflight_before_first_token": ledger.before_first_token,
                            "inflight_prefill_tokens": ledger.prefill_tokens,
                            "models": endpoint.signals().models().iter().map(|model| &**model).collect::<Vec<_>>(),
                        })
                    })
                    .collect();
                (name.to_string(), json!(endpoints))
            })
            .collect();
        json!({ "generation": view.snapshot.generation, "pools": pools })
    }
}

/// Reads the query of `/debug/decisions`; unknown names are an error, so that a typo does not show everything.
fn filter(query: &str) -> Result<DecisionFilter, &'static str> {
    let mut pairs: HashMap<&str, String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name, value.replace("%2F", "/").replace("%2f", "/")))
        .collect();
    let limit = match pairs.remove("limit") {
        Some(limit) => Some(
            limit
                .parse()
                .map_err(|_| "limit must be a whole number\n")?,
        ),
        None => None,
    };
    let filter = DecisionFilter {
        pool: pairs.remove("pool"),
        model: pairs.remove("model"),
        request_id: pairs.remove("request_id"),
        limit,
    };
    if pairs.is_empty() {
        Ok(filter)
    } else {
        Err("known parameters: pool, model, request_id, limit\n")
    }
}

fn json_answer(value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    of(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    of(status, "text/plain; charset=utf-8", body)
}

fn of(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static(content_type),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_filters_refuse_what_they_do_not_know() {
        let parsed = filter("pool=default%2Fchat&limit=7").unwrap();
        assert_eq!(parsed.pool.as_deref(), Some("default/chat"));
        assert_eq!(parsed.limit, Some(7));
        assert!(filter("").is_ok());
        assert!(filter("limit=many").is_err());
        assert!(filter("modle=x").is_err());
    }
}
