//! `/metrics` under vLLM's names, in the text format of its Python client.

use std::fmt::Write as _;

use http::{HeaderValue, Response, header};

use super::{Shared, body::Answer, core::State, recorder::Histogram};

/// Answers a scrape.
pub(super) fn answer(shared: &Shared) -> Response<Answer> {
    let mut response = Response::new(Answer::from(text(shared).into_bytes()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn text(shared: &Shared) -> String {
    let mut page = Page::new(&shared.config.model, shared.started_s);
    {
        let state = shared.core.state();
        gauges(&mut page, &state);
        counters(&mut page, &state);
        histograms(&mut page, &state);
        cache_config(&mut page, &state, shared.config.prefix_caching);
        lag(&mut page, &state);
    }
    adapters(&mut page, shared);
    page.out
}

fn gauges(page: &mut Page, state: &State) {
    let gauges = state.engine.gauges();
    page.gauge(
        "num_requests_running",
        "Requests in the batch.",
        f64::from(gauges.running),
    );
    page.gauge(
        "num_requests_waiting",
        "Requests that wait.",
        f64::from(gauges.waiting),
    );
    page.gauge(
        "kv_cache_usage_perc",
        "Share of KV blocks in use; 1 is all.",
        gauges.kv_usage,
    );
    page.family(
        "engine_sleep_state",
        "gauge",
        "1 at the state that the engine is in.",
    );
    for (sleep, on) in [
        ("awake", 1.0),
        ("weights_offloaded", 0.0),
        ("discard_all", 0.0),
    ] {
        page.sample(
            "engine_sleep_state",
            "",
            &format!("sleep_state=\"{sleep}\""),
            on,
        );
    }
}

fn counters(page: &mut Page, state: &State) {
    let counters = state.engine.counters();
    let table = [
        (
            "prefix_cache_queries",
            "Tokens looked up in the cache.",
            counters.cache_queries,
        ),
        (
            "prefix_cache_hits",
            "Tokens found in the cache.",
            counters.cache_hits,
        ),
        (
            "prompt_tokens",
            "Prompt tokens processed.",
            counters.prompt_tokens,
        ),
        (
            "prompt_tokens_cached",
            "Prompt tokens taken from the cache.",
            counters.cache_hits,
        ),
        (
            "generation_tokens",
            "Tokens generated.",
            counters.generation_tokens,
        ),
        (
            "num_preemptions",
            "Requests that lost their blocks.",
            counters.preemptions,
        ),
    ];
    for (name, help, value) in table {
        page.counter(name, help, &[("", value)]);
    }
    let recorder = &state.recorder;
    let reasons = [
        ("finished_reason=\"stop\"", recorder.stopped),
        ("finished_reason=\"length\"", recorder.limited),
        ("finished_reason=\"abort\"", recorder.aborted),
        ("finished_reason=\"error\"", 0),
    ];
    page.counter("request_success", "Requests that have ended.", &reasons);
}

fn histograms(page: &mut Page, state: &State) {
    let recorder = &state.recorder;
    let table = [
        (
            "time_to_first_token_seconds",
            "Arrival to first token.",
            &recorder.first_token,
        ),
        (
            "inter_token_latency_seconds",
            "Token to token.",
            &recorder.between_tokens,
        ),
        (
            "request_time_per_output_token_seconds",
            "Mean time between a request's tokens.",
            &recorder.per_output_token,
        ),
        (
            "e2e_request_latency_seconds",
            "Arrival to finish.",
            &recorder.end_to_end,
        ),
        (
            "request_queue_time_seconds",
            "Arrival to schedule.",
            &recorder.queue,
        ),
        (
            "request_inference_time_seconds",
            "Schedule to finish.",
            &recorder.inference,
        ),
        (
            "request_prefill_time_seconds",
            "Schedule to first token.",
            &recorder.prefill,
        ),
        (
            "request_decode_time_seconds",
            "First token to finish.",
            &recorder.decode,
        ),
        (
            "request_prompt_tokens",
            "Prompt lengths.",
            &recorder.prompt_tokens,
        ),
        (
            "request_generation_tokens",
            "Output lengths.",
            &recorder.generation_tokens,
        ),
    ];
    for (name, help, histogram) in table {
        page.histogram(name, help, histogram);
    }
}

fn cache_config(page: &mut Page, state: &State, prefix_caching: bool) {
    let config = state.engine.config();
    let caching = if prefix_caching { "True" } else { "False" };
    let labels = format!(
        "block_size=\"{}\",cache_dtype=\"auto\",enable_prefix_caching=\"{caching}\",engine=\"0\",\
         gpu_memory_utilization=\"0.9\",num_gpu_blocks=\"{}\"",
        config.block_size, config.kv_blocks,
    );
    page.family("cache_config_info", "gauge", "Cache settings as labels.");
    page.line("vllm:cache_config_info", &labels, 1.0);
}

/// The simulator's own words: how late it ran. Real time.
fn lag(page: &mut Page, state: &State) {
    let recorder = &state.recorder;
    let table = [
        (
            "plimsoll_sim_lag_max_seconds",
            recorder.lag_max.as_secs_f64(),
        ),
        ("plimsoll_sim_lag_mean_seconds", recorder.lag_mean_s()),
    ];
    for (name, value) in table {
        page.head(
            name,
            "gauge",
            "Delay of step ends behind their due time, real time.",
        );
        page.line(name, "", value);
    }
}

/// Rows as vLLM writes them: no model, no engine, the latest has the greatest value.
fn adapters(page: &mut Page, shared: &Shared) {
    let rows = shared.core.state().recorder.adapter_rows.clone();
    page.family(
        "lora_requests_info",
        "gauge",
        "Adapters with requests; the value is unix time.",
    );
    let models = shared.models();
    for row in rows {
        let labels = format!(
            "max_lora=\"{}\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"{}\"",
            shared.config.max_loras,
            escaped(&models.names(&row.running)),
            escaped(&models.names(&row.waiting)),
        );
        page.line("vllm:lora_requests_info", &labels, row.seen_s);
    }
}

/// A page of metrics in the making.
struct Page {
    out: String,
    /// Labels that nearly every sample carries.
    labels: String,
    created_s: f64,
}

impl Page {
    fn new(model: &str, created_s: f64) -> Self {
        let labels = format!("engine=\"0\",model_name=\"{}\"", escaped(model));
        Self {
            out: String::with_capacity(24 << 10),
            labels,
            created_s,
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a `String` cannot fail, here and below.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.head(&format!("vllm:{name}"), kind, help);
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        let braces = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        // The Python client writes whole numbers with a decimal.
        let _ = writeln!(self.out, "{name}{braces} {value:?}");
    }

    fn sample(&mut self, name: &str, suffix: &str, extra: &str, value: f64) {
        let comma = if extra.is_empty() { "" } else { "," };
        let labels = format!("{}{comma}{extra}", self.labels);
        self.line(&format!("vllm:{name}{suffix}"), &labels, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, "", "", value);
    }

    fn counter(&mut self, name: &str, help: &str, rows: &[(&str, u64)]) {
        self.family(&format!("{name}_total"), "counter", help);
        for (labels, value) in rows {
            self.sample(name, "_total", labels, *value as f64);
        }
        self.family(&format!("{name}_created"), "gauge", help);
        for (labels, _) in rows {
            self.sample(name, "_created", labels, self.created_s);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let mut total = 0;
        let bounds = histogram.bounds.iter().map(|bound| format!("{bound:?}"));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&histogram.counts) {
            total += count;
            self.sample(name, "_bucket", &format!("le=\"{bound}\""), total as f64);
        }
        self.sample(name, "_count", "", total as f64);
        self.sample(name, "_sum", "", histogram.sum);
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
