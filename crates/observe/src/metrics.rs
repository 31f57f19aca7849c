//! Counters and histograms, written as requests pass.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use lifecycle::{Ending, Finished, Observer, Record};
use payload::Api;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::gauges::Gauges;
use crate::labels::{
    AttemptCause, ExtractionResult, ModelLabels, OfEndpoint, OfModel, OfPool, Result, StatusClass,
};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type MakeHistogram = fn() -> Histogram;

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    models: ModelLabels,
    phase: Phases,
}

struct Phases {
    requests: Family<Result, Counter>,
    extraction: Family<ExtractionResult, Counter>,
    body_bytes: Histogram,
    routing: Histogram,
    decisions: Family<OfEndpoint, Counter>,
    schedule: Histogram,
    predicted_hit: Family<OfPool, Histogram, MakeHistogram>,
    signal_age: Family<OfPool, Histogram, MakeHistogram>,
    answers: Family<StatusClass, Counter>,
    attempts_failed: Family<AttemptCause, Counter>,
    ttft: Family<OfModel, Histogram, MakeHistogram>,
    duration: Family<OfModel, Histogram, MakeHistogram>,
    prompt_tokens: Family<OfModel, Counter>,
    cached_tokens: Family<OfModel, Counter>,
    output_tokens: Family<OfModel, Counter>,
}

/// 1 ms to about 17 min, doubling: model servers answer from milliseconds (a cache hit) to minutes (reasoning).
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 21))
}

/// 1 µs to about 0.5 s, doubling: time spent in the gateway itself.
fn micros() -> Histogram {
    Histogram::new(exponential_buckets(0.000_001, 2.0, 20))
}

fn shares() -> Histogram {
    Histogram::new((0..=10).map(|tenth| f64::from(tenth) / 10.0))
}

fn ages() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let phase = Phases {
            requests: Family::default(),
            extraction: Family::default(),
            body_bytes: Histogram::new(exponential_buckets(256.0, 4.0, 11)),
            routing: micros(),
            decisions: Family::default(),
            schedule: micros(),
            predicted_hit: Family::new_with_constructor(shares),
            signal_age: Family::new_with_constructor(ages),
            answers: Family::default(),
            attempts_failed: Family::default(),
            ttft: Family::new_with_constructor(seconds),
            duration: Family::new_with_constructor(seconds),
            prompt_tokens: Family::default(),
            cached_tokens: Family::default(),
            output_tokens: Family::default(),
        };
        let mut registry = Registry::with_prefix("plimsoll");
        phase.register(&mut registry);
        Self {
            registry: Mutex::new(registry),
            models: ModelLabels::default(),
            phase,
        }
    }

    /// Adds gauges that are read from the core at each scrape.
    pub fn watch(&self, gauges: Gauges) {
        self.registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register_collector(Box::new(gauges));
    }

    /// The whole exposition in OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(16 << 10);
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            // Writing to a string does not fail; a broken page must still say that it is broken.
            text.clear();
            let _ = writeln!(text, "# the exposition could not be written");
        }
        text
    }

    /// Drops the series of an endpoint that is gone from its pool (`namespace/name`).
    pub fn forget_endpoint(&self, pool: &Arc<str>, endpoint: &Arc<str>) {
        let label = OfEndpoint {
            pool: pool.clone(),
            endpoint: endpoint.clone(),
        };
        self.phase.decisions.remove(&label);
    }
}

impl Phases {
    fn register(&self, registry: &mut Registry) {
        let gateway = registry.sub_registry_with_prefix("gateway");
        gateway.register(
            "requests",
            "Requests by how they ended: completed, client_cancelled, or the reason of the refusal",
            self.requests.clone(),
        );
        gateway.register(
            "model_extraction",
            "Requests by the outcome of looking for a model name",
            self.extraction.clone(),
        );
        gateway.register(
            "request_body_bytes",
            "Bytes of request bodies that were read before dispatch",
            self.body_bytes.clone(),
        );
        gateway.register(
            "routing_seconds",
            "Time from arrival until route, model and pool were known, reading the body included",
            self.routing.clone(),
        );
        let scheduler = registry.sub_registry_with_prefix("scheduler");
        scheduler.register(
            "decisions",
            "Decisions by the endpoint picked first",
            self.decisions.clone(),
        );
        scheduler.register(
            "decision_seconds",
            "Time the scheduler took for one decision",
            self.schedule.clone(),
        );
        scheduler.register(
            "predicted_hit_ratio",
            "Share of the prompt that the picked endpoint was believed to hold",
            self.predicted_hit.clone(),
        );
        scheduler.register(
            "signal_age_seconds",
            "Age of the picked endpoint's scraped signals at the decision",
            self.signal_age.clone(),
        );
        let server = registry.sub_registry_with_prefix("model_server");
        server.register("answers", "Answers by status class", self.answers.clone());
        server.register(
            "attempts_failed",
            "Attempts at an endpoint that were given up before the first byte",
            self.attempts_failed.clone(),
        );
        server.register(
            "ttft_seconds",
            "Time from arrival to the first content of a streamed answer",
            self.ttft.clone(),
        );
        server.register(
            "request_duration_seconds",
            "Time from arrival to the end of the answer",
            self.duration.clone(),
        );
        server.register(
            "prompt_tokens",
            "Prompt tokens that model servers reported",
            self.prompt_tokens.clone(),
        );
        server.register(
            "cached_tokens",
            "Prompt tokens that model servers reported as served from their prefix cache",
            self.cached_tokens.clone(),
        );
        server.register(
            "output_tokens",
            "Output tokens that model servers reported",
            self.output_tokens.clone(),
        );
    }
}

impl Observer for Metrics {
    fn decided(&self, record: &Record) {
        let pool: Arc<str> = record.pool.to_string().into();
        self.phase
            .schedule
            .observe(record.schedule_time.as_secs_f64());
        let Some(best) = record.decision.candidates.first() else {
            return;
        };
        let of_pool = OfPool { pool: pool.clone() };
        if record.prompt_blocks > 0 {
            let share = f64::from(best.matched_blocks) / record.prompt_blocks as f64;
            self.phase
                .predicted_hit
                .get_or_create(&of_pool)
                .observe(share);
        }
        if let Some(age) = best.signal_age_ms {
            self.phase
                .signal_age
                .get_or_create(&of_pool)
                .observe(f64::from(age) / 1000.0);
        }
        self.phase
            .decisions
            .get_or_create(&OfEndpoint {
                pool,
                endpoint: best.endpoint.clone(),
            })
            .inc();
    }

    fn finished(&self, finished: &Finished<'_>) {
        let pool: Arc<str> = finished
            .pool
            .map_or_else(|| "none".into(), |pool| pool.to_string().into());
        let outcome = finished.outcome;
        let phase = &self.phase;
        phase
            .requests
            .get_or_create(&Result {
                pool: pool.clone(),
                api: api_label(finished.api),
                result: outcome.ending.label(),
            })
            .inc();
        phase
            .extraction
            .get_or_create(&ExtractionResult {
                result: finished.extraction.label(),
            })
            .inc();
        if finished.body_bytes > 0 {
            phase.body_bytes.observe(finished.body_bytes as f64);
        }
        if let Some(routed_after) = finished.routed_after {
            phase.routing.observe(routed_after.as_secs_f64());
        }
        for failed in &outcome.failed_attempts {
            phase
                .attempts_failed
                .get_or_create(&AttemptCause {
                    pool: pool.clone(),
                    cause: failed.cause.label(),
                })
                .inc();
        }
        if outcome.served.is_none() {
            return;
        }
        phase
            .answers
            .get_or_create(&StatusClass {
                pool: pool.clone(),
                status: status_class(outcome.status),
            })
            .inc();
        let served = outcome.ending == Ending::Completed
            && outcome.status.is_some_and(|status| status < 400);
        let model = if served {
            self.models.remember(finished.target_model)
        } else {
            self.models.lookup(finished.target_model)
        };
        let of_model = OfModel { pool, model };
        phase
            .duration
            .get_or_create(&of_model)
            .observe(outcome.duration.as_secs_f64());
        if let Some(ttft) = outcome.ttft {
            phase
                .ttft
                .get_or_create(&of_model)
                .observe(ttft.as_secs_f64());
        }
        let Some(usage) = &outcome.usage else { return };
        for (family, tokens) in [
            (&phase.prompt_tokens, usage.prompt_tokens),
            (&phase.cached_tokens, usage.cached_tokens),
            (&phase.output_tokens, usage.output_tokens),
        ] {
            if let Some(tokens) = tokens {
                family.get_or_create(&of_model).inc_by(tokens);
            }
        }
    }
}

fn status_class(status: Option<u16>) -> &'static str {
    match status.unwrap_or_default() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

fn api_label(api: Api) -> &'static str {
    match api {
        Api::ChatCompletions => "chat_completions",
        Api::Completions => "completions",
        Api::Responses => "responses",
        Api::Conversations => "conversations",
        Api::Embeddings => "embeddings",
        Api::Rerank => "rerank",
        Api::Images => "images",
        Api::Audio => "audio",
        Api::Tokenize => "tokenize",
        Api::AnthropicMessages => "anthropic_messages",
        Api::AnthropicCountTokens => "anthropic_count_tokens",
        Api::VllmGenerate => "vllm_generate",
        Api::SglangGenerate => "sglang_generate",
        Api::VllmGrpcGenerate => "vllm_grpc_generate",
        Api::VllmGrpcEmbed => "vllm_grpc_embed",
        Api::Models => "models",
        Api::Other => "other",
    }
}
