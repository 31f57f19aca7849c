//! The context one request carries through its phases, and its single end.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use payload::{Api, Parser, Usage};
use resources::ObjectName;
use routing::{ModelView, RequestView};
use signals::Time;

use crate::budget::Claim;
use crate::core::{Core, View};
use crate::errors::{ErrorStyle, Refusal};
use crate::headers::REQUEST_ID;
use crate::observer::{Extraction, Finished, Flow};
use crate::record::{Ending, FailedAttempt, Outcome, Record};
use crate::reply::Reply;
use crate::subset::Subset;

/// Where a request came in.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// Port of the listener, as routes know it.
    pub port: u16,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Server name of the TLS handshake.
    pub sni: Option<Arc<str>>,
    /// Address of the client, for `X-Forwarded-For`.
    pub peer: Option<std::net::IpAddr>,
    /// Whether another proxy carries the request and asks only for decisions (Envoy `ext_proc`). That proxy owns the
    /// HTTP exchange: headers and bytes pass as they are, and an answer that breaks off is its affair.
    pub proxied: bool,
}

/// One request from arrival to end. Dropped before its end, it counts as cancelled by the client.
pub(crate) struct Exchange {
    pub(crate) core: Arc<Core>,
    pub(crate) view: Arc<View>,
    pub(crate) door: Door,
    pub(crate) parts: Parts,
    pub(crate) api: Api,
    /// How the body is read; `None` when no configured parser takes the path.
    pub(crate) parser: Option<Parser>,
    pub(crate) request_id: HeaderValue,
    pub(crate) trace_id: String,
    pub(crate) arrived: Time,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) target_model: Option<Arc<str>>,
    pub(crate) extraction: Extraction,
    pub(crate) body_bytes: u64,
    /// Whether the client asked for token usage in its stream.
    pub(crate) asked_usage: bool,
    /// Endpoints the proxy in front confines the request to.
    pub(crate) subset: Option<Subset>,
    pub(crate) routed_after: Option<Duration>,
    pub(crate) pool: Option<ObjectName>,
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) failed_attempts: Vec<FailedAttempt>,
    pub(crate) served: Option<Arc<str>>,
    pub(crate) status: Option<u16>,
    pub(crate) ttft: Option<Duration>,
    pub(crate) usage: Option<Usage>,
    /// Whose it is, once it was picked for.
    pub(crate) flow: Option<Flow>,
    pub(crate) served_status: Option<u16>,
    pub(crate) response_bytes: u64,
    pub(crate) ended: bool,
    /// Holds the request's share of the limit on concurrent requests.
    pub(crate) _slot: Claim,
}

impl Exchange {
    /// Host the client asked for: `:authority`, an absolute target, or `Host`.
    pub(crate) fn host(&self) -> &str {
        host_of(&self.parts)
    }

    /// The request as the route table looks at it.
    pub(crate) fn view<'a>(&'a self, model: ModelView<'a>) -> RequestView<'a> {
        RequestView {
            port: self.door.port,
            sni: self.door.sni.as_deref(),
            host: self.host(),
            method: &self.parts.method,
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
            model,
        }
    }

    /// Takes the model from path or header, where they name one.
    pub(crate) fn find_model_outside_body(&mut self) {
        if self.model.is_none()
            && let Some(model) = crate::models::named_outside_body(self)
        {
            self.model = Some(model);
            self.extraction = Extraction::Ok;
        }
    }

    /// What is known about the model now; `body_ahead` tells whether a body could still name one.
    pub(crate) fn model_view(&self, body_ahead: bool) -> ModelView<'_> {
        match &self.model {
            Some(model) => {
                let base = self
                    .view
                    .snapshot
                    .base_models
                    .base_of(model)
                    .map(AsRef::as_ref);
                ModelView::Named { model, base }
            }
            None if body_ahead => ModelView::Unread,
            None => ModelView::Absent,
        }
    }

    /// Id of the request as text.
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Ends the request with an error answer.
    pub(crate) fn refuse(mut self: Box<Self>, refusal: &Refusal) -> Reply {
        let reply = match self.core.settings().errors {
            ErrorStyle::Api => {
                let mut reply = refusal.reply(self.api.dialect(), self.request_id());
                self.stamp(&mut reply.headers);
                reply
            }
            ErrorStyle::Reference(dialect) => refusal.reference_reply(dialect),
        };
        self.status = Some(reply.status.as_u16());
        self.end(Ending::Refused(refusal.reason));
        reply
    }

    /// Ends the request with an answer of the gateway's own.
    pub(crate) fn answer(mut self: Box<Self>, mut reply: Reply) -> Reply {
        self.stamp(&mut reply.headers);
        self.status = Some(reply.status.as_u16());
        self.end(Ending::Completed);
        reply
    }

    /// Puts the request id on an answer.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request_id.clone());
    }

    /// Tells record and observer how it ended. Only the first call counts.
    pub(crate) fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let outcome = Outcome {
            ending,
            status: self.status,
            served: self.served.take(),
            failed_attempts: std::mem::take(&mut self.failed_attempts),
            ttft: self.ttft,
            duration: self.core.since(self.arrived),
            usage: self.usage.take(),
        };
        self.core.observer().finished(&Finished {
            request_id: self.request_id(),
            trace_id: &self.trace_id,
            api: self.api,
            pool: self.pool.as_ref(),
            model: self.model.as_ref(),
            target_model: self.target_model.as_ref(),
            extraction: self.extraction,
            body_bytes: self.body_bytes,
            routed_after: self.routed_after,
            flow: self.flow.as_ref(),
            served_status: self.served_status,
            response_bytes: self.response_bytes,
            outcome: &outcome,
        });
        if let Some(record) = self.record.take() {
            record.join(outcome);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(Ending::ClientCancelled);
    }
}

/// Host of a request head, possibly with a port; empty when there is none.
pub(crate) fn host_of(parts: &Parts) -> &str {
    parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| {
            parts
                .headers
                .get(http::header::HOST)
                .and_then(|value| value.to_str().ok())
        })
        .unwrap_or_default()
}
