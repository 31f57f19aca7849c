//! The last decisions as JSON, for `GET /debug/decisions`.

use lifecycle::{Core, Outcome, Record};
use scheduling::Candidate;
use serde_json::{Map, Value, json};

/// Most records in one answer.
const LIMIT_MAX: usize = 1_000;

/// Which decisions to show.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Only this pool, `namespace/name`.
    pub pool: Option<String>,
    /// Only this model, as requested or as sent.
    pub model: Option<String>,
    /// Only the decision of this request id.
    pub request_id: Option<String>,
    /// At most this many, newest first; default 50, at most 1,000.
    pub limit: Option<usize>,
}

impl DecisionFilter {
    fn wants(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        let model = self.model.as_deref().is_none_or(|wanted| {
            [&record.model, &record.target_model]
                .into_iter()
                .flatten()
                .any(|model| &**model == wanted)
        });
        is(&self.pool, &record.pool.to_string())
            && is(&self.request_id, &record.request_id)
            && model
    }
}

/// The decisions `filter` asks for, newest first.
#[must_use]
pub fn decisions_json(core: &Core, filter: &DecisionFilter) -> Value {
    let limit = filter.limit.unwrap_or(50).min(LIMIT_MAX);
    let now = core.now();
    let records = core
        .decisions()
        .latest(limit, |record| filter.wants(record));
    let decisions: Vec<Value> = records
        .iter()
        .map(|record| {
            let mut value = describe(record);
            value.insert(
                "age_ms".into(),
                json!(millis(now.saturating_since(record.decided_at))),
            );
            Value::Object(value)
        })
        .collect();
    let (held, capacity) = core.decisions().fill();
    json!({ "held": held, "capacity": capacity, "decisions": decisions })
}

fn describe(record: &Record) -> Map<String, Value> {
    let decision = &record.decision;
    let totals: Vec<f32> = decision
        .candidates
        .iter()
        .map(|candidate| candidate.total)
        .collect();
    let margin = match totals.as_slice() {
        [best, second, ..] => Some(best - second),
        _ => None,
    };
    let filters: Map<String, Value> = decision
        .filter_names
        .iter()
        .zip(&decision.funnel.after_filter)
        .map(|(name, left)| (name.to_string(), json!(left)))
        .collect();
    let candidates: Vec<Value> = decision
        .candidates
        .iter()
        .map(|candidate| describe_candidate(candidate, &decision.scorer_names))
        .collect();
    let fields = json!({
        "id": record.id,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "route": record.route,
        "pool": record.pool.to_string(),
        "model": record.model,
        "target_model": record.target_model,
        "rewrite": record.rewrite,
        "priority": record.priority,
        "stream": record.stream,
        "prompt_tokens_estimate": record.prompt_tokens,
        "prompt_blocks": record.prompt_blocks,
        "schedule_us": micros(record.schedule_time),
        "chosen": decision.candidates.first().map(|candidate| &*candidate.endpoint),
        "margin": margin,
        "considered": decision.funnel.considered,
        "left_after_filter": filters,
        "candidates": candidates,
        "outcome": record.outcome().as_ref().map(describe_outcome),
    });
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn describe_candidate(candidate: &Candidate, scorers: &[std::sync::Arc<str>]) -> Value {
    let scores: Map<String, Value> = scorers
        .iter()
        .zip(&candidate.scores)
        .map(|(name, score)| (name.to_string(), json!(score)))
        .collect();
    json!({
        "endpoint": &*candidate.endpoint,
        "total": candidate.total,
        "scores": scores,
        "waiting": candidate.waiting,
        "running": candidate.running,
        "kv_usage": candidate.kv,
        "inflight_prefill_tokens": candidate.inflight_tokens,
        "matched_blocks": candidate.matched_blocks,
        "signal_age_ms": candidate.signal_age_ms,
    })
}

fn describe_outcome(outcome: &Outcome) -> Value {
    let failed: Vec<Value> = outcome
        .failed_attempts
        .iter()
        .map(|failed| json!({ "endpoint": &*failed.endpoint, "cause": failed.cause.label() }))
        .collect();
    json!({
        "ending": outcome.ending.label(),
        "status": outcome.status,
        "served": outcome.served.as_deref(),
        "failed_attempts": failed,
        "ttft_ms": outcome.ttft.map(millis),
        "duration_ms": millis(outcome.duration),
        "prompt_tokens": outcome.usage.as_ref().and_then(|usage| usage.prompt_tokens),
        "cached_tokens": outcome.usage.as_ref().and_then(|usage| usage.cached_tokens),
        "output_tokens": outcome.usage.as_ref().and_then(|usage| usage.output_tokens),
    })
}

fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn micros(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e8).round() / 1e2
}
