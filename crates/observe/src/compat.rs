//! The metric names of the reference pickers, for the dashboards and alerts that are built on them.
//!
//! Names, types, labels and buckets of every family are the contract; they stand in `families.tsv`. A family appears on
//! the page once something has happened that it counts, as in the reference. Pool gauges are read when someone scrapes.

mod book;
mod families;

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use lifecycle::{Core, Ending, Finished, Observer, Picked, Reason, Record};
use signals::Endpoint;

use book::Book;
pub use families::{Family, FamilyKind, NameSet, families};

/// Content type of [`Compat::render`]: the classic text format, which the reference serves.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Model names, and fairness ids, that become labels; later ones count as `other` (llm-d's bound).
const NAMES_MAX: usize = 1_000;
const OTHER: &str = "other";

/// Counts under the names of one reference picker.
pub struct Compat {
    set: NameSet,
    book: Book,
    models: Bounded,
    flows: Bounded,
    core: RwLock<Weak<Core>>,
}

/// Values of a label that come from requests, up to the bound.
#[derive(Default)]
struct Bounded(RwLock<std::collections::HashSet<Arc<str>>>);

impl Bounded {
    fn of(&self, name: Option<&Arc<str>>) -> Arc<str> {
        let Some(name) = name else {
            return "".into();
        };
        if self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(name)
        {
            return name.clone();
        }
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= NAMES_MAX {
            return OTHER.into();
        }
        seen.insert(name.clone());
        name.clone()
    }
}

/// Who asked for what, as labels.
struct Labels {
    model: Arc<str>,
    target: Arc<str>,
    fairness: Arc<str>,
    priority: String,
}

impl Labels {
    fn pair(&self) -> [&str; 2] {
        [&self.model, &self.target]
    }

    fn four(&self) -> [&str; 4] {
        [&self.model, &self.target, &self.fairness, &self.priority]
    }
}

impl Compat {
    /// Counts under the names of `set`.
    #[must_use]
    pub fn new(set: NameSet) -> Self {
        let book = Book::new(set);
        let info = match set {
            NameSet::Gie => &["inference_extension_info"][..],
            NameSet::LlmD => &["inference_extension_info", "llm_d_epp_info"],
            NameSet::Bbr => &["bbr_info"],
        };
        for name in info {
            book.set(name, &["unknown", env!("CARGO_PKG_VERSION")], 1.0);
        }
        Self {
            set,
            book,
            models: Bounded::default(),
            flows: Bounded::default(),
            core: RwLock::new(Weak::new()),
        }
    }

    /// Reads the pools' gauges from this core.
    pub fn watch(&self, core: Weak<Core>) {
        *self.core.write().unwrap_or_else(PoisonError::into_inner) = core;
    }

    /// The page, in the classic text format.
    #[must_use]
    pub fn render(&self) -> String {
        let core = self
            .core
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        if let Some(core) = core {
            self.read_pools(&core);
        }
        self.book.render()
    }

    /// The router's counters: a request was read.
    pub fn router_succeeded(&self) {
        self.book.add("bbr_success_total", &[], 1.0);
    }

    /// A body lacks a field.
    pub fn router_field_missing(&self, field: &str) {
        self.book
            .add("bbr_body_field_not_found_total", &[field], 1.0);
    }

    /// A body's field is empty.
    pub fn router_field_empty(&self, field: &str) {
        self.book.add("bbr_body_field_empty_total", &[field], 1.0);
    }

    /// A plugin of the router ran.
    pub fn router_plugin_ran(&self, point: &str, kind: &str, name: &str, took: Duration) {
        let labels = [point, kind, name];
        self.book
            .observe("bbr_plugin_duration_seconds", &labels, took.as_secs_f64());
    }

    fn llm_d(&self) -> bool {
        self.set == NameSet::LlmD
    }

    fn labels(
        &self,
        model: Option<&Arc<str>>,
        target: Option<&Arc<str>>,
        fairness: &Arc<str>,
        priority: i32,
    ) -> Labels {
        Labels {
            model: self.models.of(model),
            target: self.models.of(target),
            fairness: self.flows.of(Some(fairness)),
            priority: priority.to_string(),
        }
    }

    /// Observes under the old name, and in llm-d's set under the new one too.
    fn observe(&self, old: &str, new: &str, labels: &Labels, value: f64) {
        self.book.observe(old, &labels.pair(), value);
        if self.llm_d() {
            self.book.observe(new, &labels.four(), value);
        }
    }

    fn read_pools(&self, core: &Core) {
        let now = core.now();
        for (name, pool) in &core.view().pools {
            let set = pool.state.endpoints.current();
            let fresh: Vec<_> = set
                .endpoints
                .iter()
                .map(|endpoint| (endpoint, endpoint.signals().view(now)))
                .filter(|(_, signals)| signals.fresh)
                .collect();
            let name = &*name.name;
            let count = fresh.len() as f64;
            let tell = |old: &str, new: &str, labels: &[&str], value: f64| {
                self.book.set(old, labels, value);
                if self.llm_d() {
                    self.book.set(new, labels, value);
                }
            };
            tell(
                "inference_pool_ready_pods",
                "llm_d_epp_ready_endpoints",
                &[name],
                count,
            );
            for (endpoint, signals) in &fresh {
                tell(
                    "inference_pool_per_pod_queue_size",
                    "llm_d_epp_per_endpoint_queue_size",
                    &[name, endpoint.name()],
                    f64::from(signals.scraped.waiting),
                );
            }
            // Without a fresh endpoint the last averages stay, as in the reference.
            if fresh.is_empty() {
                continue;
            }
            type Read = fn(&signals::Gauges) -> f64;
            let kinds: [(&str, Read); 3] = [
                ("kv_cache_utilization", |gauges| f64::from(gauges.kv_usage)),
                ("queue_size", |gauges| f64::from(gauges.waiting)),
                ("running_requests", |gauges| f64::from(gauges.running)),
            ];
            for (kind, value) in kinds {
                let mean = fresh.iter().map(|(_, s)| value(&s.scraped)).sum::<f64>() / count;
                let square = |(_, s): &(_, signals::Signals)| (value(&s.scraped) - mean).powi(2);
                let deviation = (fresh.iter().map(square).sum::<f64>() / count).sqrt();
                tell(
                    &format!("inference_pool_average_{kind}"),
                    &format!("llm_d_epp_average_{kind}"),
                    &[name],
                    mean,
                );
                if self.llm_d() {
                    self.book
                        .set(&format!("llm_d_epp_std_dev_{kind}"), &[name], deviation);
                }
            }
        }
    }

    fn attempt(&self, record: &Record, target: &str) {
        let Some(choice) = record.decision.ranked.first() else {
            return;
        };
        let endpoint: &Endpoint = &choice.endpoint;
        let port = endpoint.address().port().to_string();
        let labels = [
            "success",
            target,
            &**endpoint.name(),
            &*record.pool.namespace,
            &port,
        ];
        self.book
            .add("inference_extension_scheduler_attempts_total", &labels, 1.0);
        if self.llm_d() {
            self.book
                .add("llm_d_epp_scheduler_attempts_total", &labels, 1.0);
        }
    }

    fn scheduled(&self, record: &Record) {
        let took = record.schedule_time.as_secs_f64();
        let matched = record
            .decision
            .ranked
            .first()
            .map_or(0, |choice| choice.matched_blocks);
        let share = f64::from(matched) / record.prompt_blocks.max(1) as f64;
        self.book.observe(
            "inference_extension_scheduler_e2e_duration_seconds",
            &[],
            took,
        );
        self.book
            .observe("inference_extension_prefix_indexer_hit_ratio", &[], share);
        if self.llm_d() {
            self.book
                .observe("llm_d_epp_scheduler_e2e_duration_seconds", &[], took);
            let producer = [
                "approx-prefix-cache-producer",
                "approx-prefix-cache-producer",
            ];
            self.book
                .observe("llm_d_epp_prefix_indexer_hit_ratio", &producer, share);
        }
        if let Some(rewrite) = &record.rewrite {
            let model = self.models.of(record.model.as_ref());
            let target = self.models.of(record.target_model.as_ref());
            let labels = [&**rewrite, &*model, &*target];
            self.book.add(
                "inference_extension_model_rewrite_decisions_total",
                &labels,
                1.0,
            );
            if self.llm_d() {
                self.book
                    .add("llm_d_epp_model_rewrite_decisions_total", &labels, 1.0);
            }
        }
    }

    fn running(&self, labels: &Labels, change: f64) {
        if labels.model.is_empty() {
            return;
        }
        self.book.change(
            "inference_objective_running_requests",
            &[&labels.model],
            change,
        );
        if self.llm_d() {
            self.book
                .change("llm_d_epp_request_running", &labels.four(), change);
        }
    }

    fn failed(&self, finished: &Finished<'_>, labels: &Labels) {
        let Some(code) = error_code(finished) else {
            return;
        };
        let [model, target] = labels.pair();
        self.book.add(
            "inference_objective_request_error_total",
            &[model, target, code],
            1.0,
        );
        if self.llm_d() {
            let [model, target, fairness, priority] = labels.four();
            self.book.add(
                "llm_d_epp_request_error_total",
                &[model, target, fairness, priority, code],
                1.0,
            );
        }
    }

    fn counted(&self, finished: &Finished<'_>, labels: &Labels) {
        let outcome = finished.outcome;
        let Some(usage) = &outcome.usage else {
            return;
        };
        if let Some(tokens) = usage.prompt_tokens.filter(|tokens| *tokens > 0) {
            let (old, new) = (
                "inference_objective_input_tokens",
                "llm_d_epp_request_input_tokens",
            );
            self.observe(old, new, labels, tokens as f64);
        }
        if let Some(tokens) = usage.cached_tokens {
            self.observe(
                "inference_objective_prompt_cached_tokens",
                "llm_d_epp_request_cached_tokens",
                labels,
                tokens as f64,
            );
        }
        let Some(tokens) = usage.output_tokens.filter(|tokens| *tokens > 0) else {
            return;
        };
        let tokens = tokens as f64;
        self.observe(
            "inference_objective_output_tokens",
            "llm_d_epp_request_output_tokens",
            labels,
            tokens,
        );
        let whole = outcome.duration.as_secs_f64();
        self.observe(
            "inference_objective_normalized_time_per_output_token_seconds",
            "llm_d_epp_request_ntpot_seconds",
            labels,
            whole / tokens,
        );
        if let Some(ttft) = outcome.ttft.filter(|_| self.llm_d() && tokens > 1.0) {
            let rest = (whole - ttft.as_secs_f64()).max(0.0);
            self.book.observe(
                "llm_d_epp_request_streaming_tpot_seconds",
                &labels.four(),
                rest / (tokens - 1.0),
            );
        }
    }
}

/// The reference's canonical code of what went wrong, if anything did.
fn error_code(finished: &Finished<'_>) -> Option<&'static str> {
    if finished.served_status.is_some_and(|status| status != 200) {
        return Some("ModelServerError");
    }
    match finished.outcome.ending {
        Ending::Completed | Ending::ClientCancelled => None,
        Ending::Refused(Reason::UpstreamFailed | Reason::UpstreamUnreachable) => {
            Some("ModelServerError")
        }
        Ending::Refused(reason) => Some(lifecycle::reference_code(reason)),
    }
}

impl Observer for Compat {
    fn decided(&self, record: &Record) {
        let target = self.models.of(record.target_model.as_ref());
        self.attempt(record, &target);
        self.scheduled(record);
    }

    fn picked(&self, picked: &Picked<'_>) {
        let flow = picked.flow;
        let labels = self.labels(
            picked.model,
            picked.target_model,
            &flow.fairness,
            flow.priority,
        );
        let [model, target] = labels.pair();
        self.book.add(
            "inference_objective_request_total",
            &[model, target, &labels.priority],
            1.0,
        );
        if self.llm_d() {
            self.book
                .add("llm_d_epp_request_total", &labels.four(), 1.0);
        }
        self.observe(
            "inference_objective_request_sizes",
            "llm_d_epp_request_size_bytes",
            &labels,
            picked.request_bytes as f64,
        );
        self.running(&labels, 1.0);
    }

    fn finished(&self, finished: &Finished<'_>) {
        let unknown = lifecycle::Flow::default();
        let flow = finished.flow.unwrap_or(&unknown);
        let labels = self.labels(
            finished.model,
            finished.target_model,
            &flow.fairness,
            flow.priority,
        );
        self.failed(finished, &labels);
        self.counted(finished, &labels);
        if finished.flow.is_none() {
            return;
        }
        self.running(&labels, -1.0);
        let outcome = finished.outcome;
        if matches!(outcome.ending, Ending::Completed) {
            self.observe(
                "inference_objective_request_duration_seconds",
                "llm_d_epp_request_duration_seconds",
                &labels,
                outcome.duration.as_secs_f64(),
            );
            self.observe(
                "inference_objective_response_sizes",
                "llm_d_epp_response_size_bytes",
                &labels,
                finished.response_bytes as f64,
            );
        }
        if let Some(ttft) = outcome.ttft.filter(|_| self.llm_d()) {
            let [model, target, fairness, priority] = labels.four();
            self.book.observe(
                "llm_d_epp_request_ttft_seconds",
                &[model, target, fairness, priority, "true"],
                ttft.as_secs_f64(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
