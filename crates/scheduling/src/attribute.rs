//! Attributes of endpoints: numbers that plugins bring, and the usual gauges under their names.

use std::sync::Arc;

use crate::Field;
use crate::data::Data;
use crate::kind::Build;

/// Which attribute a plugin reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeKey {
    key: Arc<str>,
    producer: Arc<str>,
}

impl AttributeKey {
    /// An attribute that nobody signs.
    pub(crate) fn unsigned(key: &str) -> Self {
        Self {
            key: key.into(),
            producer: "".into(),
        }
    }

    /// Reads an attribute of the parameters, at `path` of them. Without a producer it is one of
    /// the usual extractor's.
    pub(crate) fn read(
        key: &str,
        producer: Option<&str>,
        path: &str,
        build: &mut Build<'_>,
    ) -> Self {
        if key.is_empty() {
            build.fault(
                path,
                format!("{path} is required, the name of an attribute"),
            );
        }
        if let (Some((attribute, from)), None) = (key.split_once('/'), producer) {
            let message = format!(
                "{path} \"{key}\" holds a slash: split it into attribute: \"{attribute}\" and producer: \"{from}\", or say producer: \"\" if the slash is part of the name"
            );
            build.fault(path, message);
        }
        Self {
            key: key.into(),
            producer: producer
                .unwrap_or(Data::CoreMetrics.usual_producer())
                .into(),
        }
    }

    /// The attribute of the endpoint at `index`; `None` = nobody has told it yet.
    pub(crate) fn value(&self, field: &Field<'_>, index: u32) -> Option<f64> {
        let state = field.state(index);
        if *self.producer == *Data::CoreMetrics.usual_producer() {
            let gauges = state.signals.scraped;
            let usual = match &*self.key {
                "WaitingQueueSize" => Some(f64::from(gauges.waiting)),
                "RunningRequestsSize" => Some(f64::from(gauges.running)),
                "KVCacheUsagePercent" => Some(f64::from(gauges.kv_usage)),
                _ => None,
            };
            if usual.is_some() {
                return usual.filter(|_| state.signals.age.is_some());
            }
        }
        let signals = field.endpoints[index as usize].signals();
        signals.scalar(&self.key, &self.producer)
    }
}
