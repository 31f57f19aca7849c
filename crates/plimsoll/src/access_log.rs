//! Who listens to requests: metrics, and one structured log line per request where it is asked for.

use std::sync::Arc;

use lifecycle::{Finished, Observer, Picked, Record};

/// Hands everything on to several listeners.
pub(crate) struct Everyone(pub(crate) Vec<Arc<dyn Observer>>);

impl Observer for Everyone {
    fn decided(&self, record: &Record) {
        self.0.iter().for_each(|observer| observer.decided(record));
    }

    fn picked(&self, picked: &Picked<'_>) {
        self.0.iter().for_each(|observer| observer.picked(picked));
    }

    fn finished(&self, finished: &Finished<'_>) {
        self.0
            .iter()
            .for_each(|observer| observer.finished(finished));
    }
}

/// Logs each request at its end. No prompt, header or key is known here.
pub(crate) struct AccessLog;

impl Observer for AccessLog {
    fn decided(&self, _: &Record) {}

    fn finished(&self, finished: &Finished<'_>) {
        let outcome = finished.outcome;
        let usage = outcome.usage.as_ref();
        tracing::info!(
            target: "access",
            request_id = finished.request_id,
            trace_id = finished.trace_id,
            api = ?finished.api,
            pool = finished.pool.map(tracing::field::display),
            model = finished.model.map(AsRef::<str>::as_ref),
            target_model = finished.target_model.map(AsRef::<str>::as_ref),
            result = outcome.ending.label(),
            status = outcome.status,
            endpoint = outcome.served.as_deref(),
            attempts_failed = outcome.failed_attempts.len(),
            body_bytes = finished.body_bytes,
            ttft_ms = outcome.ttft.map(|ttft| ttft.as_secs_f64() * 1_000.0),
            duration_ms = outcome.duration.as_secs_f64() * 1_000.0,
            prompt_tokens = usage.and_then(|usage| usage.prompt_tokens),
            cached_tokens = usage.and_then(|usage| usage.cached_tokens),
            output_tokens = usage.and_then(|usage| usage.output_tokens),
            "request"
        );
    }
}
