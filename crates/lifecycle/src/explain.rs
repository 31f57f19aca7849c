//! What a request would meet: the routing half of the lifecycle, told instead of done.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use resources::{BackendTarget, PathMatch, RouteMatch, Rule};
use routing::Outcome;

use crate::core::Core;
use crate::errors::Refusal;
use crate::exchange::{Door, Exchange};
use crate::reading::Reading;
use crate::received::{Chosen, Received, choose};

/// Where a request would go, as sentences for people.
#[derive(Debug, Default)]
pub struct Explanation {
    /// Gateway, listener name and port.
    pub listener: Option<String>,
    /// HTTPRoute, `namespace/name`.
    pub route: Option<String>,
    /// Number and name of the rule.
    pub rule: Option<String>,
    /// The match that won.
    pub matched: Option<String>,
    /// Model name found.
    pub model: Option<String>,
    /// Its base model, if the mapping knows one.
    pub base_model: Option<String>,
    /// Backends of the rule with their share of requests.
    pub backends: Vec<String>,
    /// Model names it could be rewritten to, with the rule that says so.
    pub rewrites: Vec<String>,
    /// The rule answers by itself: status and location.
    pub answer: Option<String>,
    /// Why it would be refused.
    pub refusal: Option<Refusal>,
}

/// Follows a request through listener, route and model. Nothing is scheduled or sent.
#[must_use]
pub fn explain(core: &Arc<Core>, door: Door, parts: Parts, body: Option<Bytes>) -> Explanation {
    let mut explanation = Explanation::default();
    let mut exchange = match Received::new(core, door, parts) {
        Ok(received) => received.into_exchange(),
        Err(reply) => {
            explanation.answer = Some(reply.status.to_string());
            return explanation;
        }
    };
    if let Some(body) = body {
        match Reading::scan_whole(exchange, body) {
            Ok(read) => exchange = read,
            Err(refusal) => {
                explanation.refusal = Some(refusal);
                return explanation;
            }
        }
    }
    exchange.find_model_outside_body();
    let view = exchange.view.clone();
    let outcome = view.table.route(&exchange.view(exchange.model_view(false)));
    describe(&exchange, &outcome, &mut explanation);
    explanation
}

fn describe(exchange: &Exchange, outcome: &Outcome<'_>, explanation: &mut Explanation) {
    explanation.model = exchange.model.as_deref().map(str::to_owned);
    let base = exchange
        .model
        .as_deref()
        .and_then(|model| exchange.view.snapshot.base_models.base_of(model));
    explanation.base_model = base.map(|base| base.to_string());
    if let Outcome::Matched(matched) = outcome {
        let (listener, rule) = (matched.listener, matched.rule());
        explanation.listener = Some(format!(
            "{} of Gateway {}, port {}",
            listener.name, listener.gateway, listener.port
        ));
        explanation.route = Some(matched.route.name.to_string());
        explanation.rule = Some(match &rule.name {
            Some(name) => format!("rules[{}] ({name})", matched.rule_index),
            None => format!("rules[{}]", matched.rule_index),
        });
        explanation.matched = Some(describe_match(matched.matched));
        explanation.backends = describe_backends(rule);
        explanation.rewrites = describe_rewrites(rule, exchange.model.as_deref());
    }
    match choose(exchange, outcome) {
        Ok(Chosen::Reply(reply)) => {
            let location = reply
                .headers
                .get(http::header::LOCATION)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            explanation.answer = Some(format!("{} {location}", reply.status).trim_end().to_owned());
        }
        Ok(Chosen::Backend(_)) => {}
        Err(refusal) => explanation.refusal = Some(refusal),
    }
}

fn describe_match(matched: &RouteMatch) -> String {
    let mut parts = vec![match &matched.path {
        PathMatch::Exact(path) => format!("path = {path}"),
        PathMatch::Prefix(path) if path.is_empty() => "path under /".to_owned(),
        PathMatch::Prefix(path) => format!("path under {path}"),
        PathMatch::Regex(regex) => format!("path ~ {regex}"),
    }];
    parts.extend(
        matched
            .method
            .as_ref()
            .map(|method| format!("method {method}")),
    );
    parts.extend(
        matched
            .headers
            .iter()
            .map(|header| format!("header {}", header.name)),
    );
    parts.extend(
        matched
            .query
            .iter()
            .map(|query| format!("query {}", query.name)),
    );
    parts.join(", ")
}

fn describe_backends(rule: &Rule) -> Vec<String> {
    let total: u64 = rule
        .backends
        .iter()
        .map(|backend| u64::from(backend.weight))
        .sum();
    let describe = |backend: &resources::Backend| {
        let share = 100.0 * f64::from(backend.weight) / (total.max(1) as f64);
        match &backend.target {
            BackendTarget::Pool(pool) => {
                format!(
                    "InferencePool {}, {} ready endpoints, {share:.0} % of requests",
                    pool.name,
                    pool.endpoints.len()
                )
            }
            BackendTarget::Service(service) => {
                format!(
                    "Service {} port {}, {} ready endpoints, {share:.0} % of requests",
                    service.name,
                    service.port,
                    service.endpoints.len()
                )
            }
            BackendTarget::Invalid(reason) => {
                format!("invalid ({reason}), {share:.0} % of requests answered 500")
            }
        }
    };
    rule.backends.iter().map(describe).collect()
}

/// The rewrites that could be drawn. Weighted targets are all named.
fn describe_rewrites(rule: &Rule, model: Option<&str>) -> Vec<String> {
    let Some(model) = model else {
        return Vec::new();
    };
    let pools = rule
        .backends
        .iter()
        .filter_map(|backend| match &backend.target {
            BackendTarget::Pool(pool) => Some(pool),
            BackendTarget::Service(_) | BackendTarget::Invalid(_) => None,
        });
    let mut lines = Vec::new();
    for pool in pools {
        let Some(found) = pool.rewrites.rule_for(model) else {
            continue;
        };
        let targets: Vec<String> = found
            .targets
            .iter()
            .map(|target| match target.weight {
                0 => target.model.to_string(),
                weight => format!("{} (weight {weight})", target.model),
            })
            .collect();
        lines.push(format!(
            "to {} by InferenceModelRewrite {} in {}",
            targets.join(" or "),
            found.object,
            pool.name
        ));
    }
    lines
}
