//! Phase one: a request head has arrived. Find its route; read its body only if someone needs it.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use payload::{Api, Resolved};
use resources::{BackendTarget, Filter, Route, Rule};
use routing::{Matched, ModelView, Outcome};

use crate::core::Core;
use crate::dispatch::Dispatch;
use crate::errors::{Reason, Refusal};
use crate::exchange::{Door, Exchange};
use crate::headers;
use crate::observer::Extraction;
use crate::observing::Observing;
use crate::reading::Reading;
use crate::reply::Reply;
use crate::subset::Subset;
use crate::{cors, models};

/// A request whose head is known and whose route is not.
pub struct Received(Box<Exchange>);

/// What the door has to do next.
pub enum Step {
    /// Send this answer; the request has ended.
    Reply(Reply),
    /// Feed the request body to the reader.
    Read(Reading),
    /// Send the request to an endpoint.
    Send(Box<Dispatch>),
}

/// The route, rule and backend a request has met. Indices into an immutable snapshot, so that no borrow is held.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) route: Arc<Route>,
    pub(crate) rule: usize,
    pub(crate) matched: usize,
    pub(crate) backend: usize,
}

impl Choice {
    pub(crate) fn rule(&self) -> Option<&Rule> {
        self.route.rules.get(self.rule)
    }

    /// Filters of the rule, then those of the chosen backend.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &[Filter]> {
        let rule = self.rule();
        let backend = rule.and_then(|rule| rule.backends.get(self.backend));
        rule.map(|rule| rule.filters.as_slice())
            .into_iter()
            .chain(backend.map(|backend| backend.filters.as_slice()))
    }
}

impl Received {
    /// Takes in a request head: spoofed headers go, request id and trace context are settled.
    ///
    /// # Errors
    /// The answer to send when the gateway drains or holds its maximum of requests.
    pub fn new(core: &Arc<Core>, door: Door, mut parts: Parts) -> Result<Self, Box<Reply>> {
        let entropy = core.entropy();
        let (request_id, trace_id) = if door.proxied {
            (
                headers::ensure_request_id(&mut parts.headers, entropy.draw_wide()),
                headers::trace_id(&parts.headers, entropy.draw_wide()),
            )
        } else {
            // First of all, or a client could name the gateway's own headers in `Connection` and so remove them.
            headers::strip_hop_by_hop(&mut parts.headers);
            headers::strip_reserved(&mut parts.headers);
            let request_id = headers::ensure_request_id(&mut parts.headers, entropy.draw_wide());
            headers::add_forwarded(&mut parts.headers, door.peer, door.tls);
            let trace_id =
                headers::continue_trace(&mut parts.headers, entropy.draw_wide(), entropy.draw());
            (request_id, trace_id)
        };
        let resolved = match &core.settings().parsers {
            Some(parsers) => parsers.resolve(parts.uri.path()),
            None => Ok(Resolved::lenient(&parts.method, parts.uri.path())),
        };
        let mut slot = core.requests().claim();
        let room = slot.grow(1);
        let exchange = Box::new(Exchange {
            view: core.view(),
            api: resolved.map_or(Api::Other, |resolved| resolved.api),
            parser: resolved.ok().map(|resolved| resolved.parser),
            door,
            parts,
            request_id,
            trace_id,
            arrived: core.now(),
            model: None,
            target_model: None,
            extraction: Extraction::NotApplicable,
            body_bytes: 0,
            asked_usage: false,
            subset: None,
            routed_after: None,
            pool: None,
            record: None,
            failed_attempts: Vec::new(),
            served: None,
            status: None,
            ttft: None,
            usage: None,
            ended: false,
            _slot: slot,
            core: core.clone(),
        });
        if core.is_draining() {
            return Err(Box::new(exchange.refuse(&Refusal::new(
                Reason::Draining,
                "the gateway is shutting down; try again, another instance will answer",
            ))));
        }
        if !room {
            let limit = core.requests().limit();
            let message = format!(
                "the gateway holds its maximum of {limit} concurrent requests; try again shortly"
            );
            return Err(Box::new(
                exchange.refuse(&Refusal::new(Reason::TooManyRequests, message)),
            ));
        }
        Ok(Self(exchange))
    }

    pub(crate) fn into_exchange(self) -> Box<Exchange> {
        self.0
    }

    /// The proxy in front confines the request to these endpoints. The last call counts.
    pub fn restrict(&mut self, subset: Subset) {
        self.0.subset = Some(subset);
    }

    /// Finds the endpoint although the body that follows will not be shown, or only after the head was sent on.
    #[must_use]
    pub fn proceed_unread(self) -> Step {
        let mut exchange = self.0;
        exchange.find_model_outside_body();
        let view = exchange.view.clone();
        let outcome = view.table.route(&exchange.view(exchange.model_view(false)));
        match choose(&exchange, &outcome) {
            Ok(Chosen::Backend(choice)) => crate::dispatch::prepare(exchange, &choice, None, true),
            Ok(Chosen::Reply(reply)) => Step::Reply(exchange.answer(reply)),
            Err(refusal) => Step::Reply(exchange.refuse(&refusal)),
        }
    }

    /// Reads the body for its model only; someone else routes the request.
    #[must_use]
    pub fn read_only(self) -> Step {
        Reading::begin(self.0, None)
    }

    /// Someone else answers the request, for example the proxy in front itself: there is only an answer to watch.
    #[must_use]
    pub fn answered_elsewhere(self, response: &mut http::response::Parts) -> Observing {
        Observing::detached(self.0, response)
    }

    /// Finds the route. `has_body` tells whether a request body follows.
    #[must_use]
    pub fn proceed(self, has_body: bool) -> Step {
        let mut exchange = self.0;
        if exchange.api == Api::Models
            && !exchange.door.proxied
            && exchange.parts.method == Method::GET
            && let Some(reply) = models::answer(&exchange)
        {
            return Step::Reply(reply.finish(exchange));
        }
        exchange.find_model_outside_body();
        let view = exchange.view.clone();
        let outcome = view
            .table
            .route(&exchange.view(exchange.model_view(has_body)));
        match outcome {
            Outcome::NeedsModel => Reading::begin(exchange, None),
            outcome => settle(exchange, &outcome, has_body),
        }
    }
}

/// Turns the outcome of matching into the next step: an answer, a body to read, or a dispatch without a body to look at.
fn settle(exchange: Box<Exchange>, outcome: &Outcome<'_>, has_body: bool) -> Step {
    let choice = match choose(&exchange, outcome) {
        Ok(Chosen::Backend(choice)) => choice,
        Ok(Chosen::Reply(reply)) => return Step::Reply(exchange.answer(reply)),
        Err(refusal) => return Step::Reply(exchange.refuse(&refusal)),
    };
    if has_body && needs_body(&choice) {
        return Reading::begin(exchange, Some(choice));
    }
    crate::dispatch::prepare(exchange, &choice, None, has_body)
}

/// What a matched rule leads to.
pub(crate) enum Chosen {
    Backend(Choice),
    Reply(Reply),
}

/// Chooses the backend of the matched rule, or the answer the rule itself gives.
pub(crate) fn choose(exchange: &Exchange, outcome: &Outcome<'_>) -> Result<Chosen, Refusal> {
    let matched = match outcome {
        Outcome::Matched(matched) => matched,
        Outcome::NoListener => {
            let message = format!(
                "no listener on port {} serves the host \"{}\"",
                exchange.door.port,
                exchange.host()
            );
            return Err(Refusal::new(Reason::UnknownHost, message));
        }
        Outcome::NoRoute | Outcome::NeedsModel => return Err(no_route(exchange)),
    };
    if let Some(reply) = own_answer(exchange, matched) {
        return Ok(Chosen::Reply(reply));
    }
    let rule = matched.rule();
    let backend =
        routing::choose_backend(rule, exchange.core.entropy().draw()).ok_or_else(|| {
            Refusal::new(
                Reason::InvalidBackend,
                format!(
                    "rule {} of HTTPRoute {} has no backend to send to",
                    matched.rule_index, matched.route.name
                ),
            )
        })?;
    if let BackendTarget::Invalid(reason) = &backend.target {
        return Err(Refusal::new(
            Reason::InvalidBackend,
            format!(
                "rule {} of HTTPRoute {}: {reason}",
                matched.rule_index, matched.route.name
            ),
        ));
    }
    Ok(Chosen::Backend(Choice {
        route: matched.route.clone(),
        rule: matched.rule_index,
        matched: rule
            .matches
            .iter()
            .position(|candidate| std::ptr::eq(candidate, matched.matched))
            .unwrap_or(0),
        backend: rule
            .backends
            .iter()
            .position(|candidate| std::ptr::eq(candidate, backend))
            .unwrap_or(0),
    }))
}

/// The answer of a rule that needs no backend: a CORS preflight or a redirect.
fn own_answer(exchange: &Exchange, matched: &Matched<'_>) -> Option<Reply> {
    matched
        .rule()
        .filters
        .iter()
        .find_map(|filter| match filter {
            Filter::Cors(policy) => cors::preflight(policy, &exchange.parts),
            Filter::Redirect(redirect) => {
                let (status, location) = routing::redirect(
                    redirect,
                    matched.matched,
                    &exchange.view(ModelView::Absent),
                    exchange.door.tls,
                );
                let mut headers = http::HeaderMap::new();
                headers.insert(http::header::LOCATION, location.parse().ok()?);
                Some(Reply {
                    status,
                    headers,
                    body: bytes::Bytes::new(),
                })
            }
            _ => None,
        })
}

/// Why no route was found, told apart for the client: an unknown path is not an unknown model.
fn no_route(exchange: &Exchange) -> Refusal {
    let (method, path) = (&exchange.parts.method, exchange.parts.uri.path());
    match &exchange.model {
        Some(model) => Refusal::new(
            Reason::ModelNotFound,
            format!("no route for {method} {path} leads to the model \"{model}\""),
        ),
        None => Refusal::new(Reason::NoRoute, format!("no route matches {method} {path}")),
    }
}

/// Pools need the body to schedule, mirrors to send it twice.
fn needs_body(choice: &Choice) -> bool {
    choice.rule().is_some_and(|rule| {
        let backend = rule.backends.get(choice.backend);
        let to_pool =
            backend.is_some_and(|backend| matches!(backend.target, BackendTarget::Pool(_)));
        let filters = rule
            .filters
            .iter()
            .chain(backend.iter().flat_map(|backend| &backend.filters));
        to_pool
            || filters
                .into_iter()
                .any(|filter| matches!(filter, Filter::Mirror(_)))
    })
}
