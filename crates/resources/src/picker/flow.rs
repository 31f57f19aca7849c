//! The `flowControl` section.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GoDuration, PluginRef, Quantity};
use crate::decode::Fault;

/// Bytes a band may queue when nothing is configured.
const BAND_BYTES: u64 = 1_000_000_000;
/// Requests a band may queue when nothing is configured.
const BAND_REQUESTS: u64 = 5_000;
/// How long a request may wait when nothing is configured.
const TTL: Duration = Duration::from_secs(60);

/// Limits and policies of bands that have no entry of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BandLimits {
    /// Bytes of request bodies the band may queue; absent or 0: 1 GB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
    /// Requests the band may queue; absent or 0: 5,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<Quantity>,
    /// Name of the fairness policy between flows; `global-strict-fairness-policy` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fairness_policy_ref: Option<String>,
    /// Name of the order within a flow; `fcfs-ordering-policy` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_policy_ref: Option<String>,
}

/// A priority band.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Band {
    /// The priority; higher is served first.
    #[schemars(required)]
    pub priority: i32,
    /// Bytes of request bodies the band may queue; absent or 0: 1 GB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
    /// Requests the band may queue; absent or 0: 5,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<Quantity>,
    /// Name of the fairness policy between flows; `global-strict-fairness-policy` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fairness_policy_ref: Option<String>,
    /// Name of the order within a flow; `fcfs-ordering-policy` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_policy_ref: Option<String>,
}

/// Queues at the picker while the pool is saturated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FlowControl {
    /// Bytes of request bodies all bands together may queue; absent or 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
    /// Requests all bands together may queue; absent or 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<Quantity>,
    /// How long a request may wait; 60 s when left out, 0 s for ever.
    #[serde(rename = "defaultRequestTTL", skip_serializing_if = "Option::is_none")]
    pub default_request_ttl: Option<GoDuration>,
    /// How long a request may wait while the pool has no endpoint; as `defaultRequestTTL` when
    /// left out.
    #[serde(
        rename = "noEndpointRequestTTL",
        skip_serializing_if = "Option::is_none"
    )]
    pub no_endpoint_request_ttl: Option<GoDuration>,
    /// For bands without an entry in `priorityBands`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_priority_band: Option<BandLimits>,
    /// For bands below 0 without an entry in `priorityBands`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_negative_priority_band: Option<BandLimits>,
    /// Bands with limits of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_bands: Vec<Band>,
    /// Name of the usage-limit policy; `static-usage-limit-policy` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_limit_policy_plugin_ref: Option<String>,
    /// What tells how full the pool is; `utilization-detector` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation_detector: Option<PluginRef>,
    /// End running requests of low priority for waiting ones of high priority. Default off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_eviction: Option<bool>,
}

/// Limits of one band, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// Bytes of request bodies.
    pub max_bytes: u64,
    /// Requests.
    pub max_requests: u64,
}

fn limit(given: Option<Quantity>, usual: u64) -> u64 {
    match given.and_then(|given| u64::try_from(given.0).ok()) {
        None | Some(0) => usual,
        Some(given) => given,
    }
}

impl BandLimits {
    /// The limits, defaults filled in.
    #[must_use]
    pub fn limits(&self) -> FlowLimits {
        FlowLimits {
            max_bytes: limit(self.max_bytes, BAND_BYTES),
            max_requests: limit(self.max_requests, BAND_REQUESTS),
        }
    }
}

impl Band {
    /// The limits, defaults filled in.
    #[must_use]
    pub fn limits(&self) -> FlowLimits {
        FlowLimits {
            max_bytes: limit(self.max_bytes, BAND_BYTES),
            max_requests: limit(self.max_requests, BAND_REQUESTS),
        }
    }
}

impl FlowControl {
    /// Limits over all bands; 0 = none.
    #[must_use]
    pub fn limits(&self) -> FlowLimits {
        FlowLimits {
            max_bytes: limit(self.max_bytes, 0),
            max_requests: limit(self.max_requests, 0),
        }
    }

    /// Limits of bands of priority 0 and above that have no entry of their own.
    #[must_use]
    pub fn default_limits(&self) -> FlowLimits {
        let band = self.default_priority_band.clone();
        band.unwrap_or_default().limits()
    }

    /// Limits of bands below 0 that have no entry of their own.
    #[must_use]
    pub fn default_negative_limits(&self) -> FlowLimits {
        let band = &self.default_negative_priority_band;
        band.as_ref()
            .map_or_else(|| self.default_limits(), BandLimits::limits)
    }

    /// How long a request may wait; `None` = for ever.
    #[must_use]
    pub fn request_ttl(&self) -> Option<Duration> {
        let ttl = self.default_request_ttl.map_or(TTL, GoDuration::get);
        (ttl > Duration::ZERO).then_some(ttl)
    }

    /// How long a request may wait while there is no endpoint; `None` = for ever.
    #[must_use]
    pub fn no_endpoint_ttl(&self) -> Option<Duration> {
        match self.no_endpoint_request_ttl {
            None => self.request_ttl(),
            Some(ttl) => (ttl.get() > Duration::ZERO).then_some(ttl.get()),
        }
    }

    /// What is wrong with the numbers. Paths are from the section's own start.
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        let mut fault = |path: String, message: String| faults.push(Fault { path, message });
        let mut amount = |path: String, given: Option<Quantity>, whose: String, what: &str| {
            if let Some(given) = given.filter(|given| given.0 < 0) {
                let message = format!("{whose} {what} must be non-negative, got {}", given.0);
                fault(path, message);
            }
        };
        let mut pair = |path: &str, bytes, requests, whose: &str| {
            amount(
                format!("{path}maxBytes"),
                bytes,
                whose.to_owned(),
                "MaxBytes",
            );
            amount(
                format!("{path}maxRequests"),
                requests,
                whose.to_owned(),
                "MaxRequests",
            );
        };
        pair("", self.max_bytes, self.max_requests, "global");
        if let Some(band) = &self.default_priority_band {
            let path = "defaultPriorityBand.";
            pair(
                path,
                band.max_bytes,
                band.max_requests,
                "default priority band",
            );
        }
        if let Some(band) = &self.default_negative_priority_band {
            let whose = "default negative priority band";
            let path = "defaultNegativePriorityBand.";
            pair(path, band.max_bytes, band.max_requests, whose);
        }
        for (index, band) in self.priority_bands.iter().enumerate() {
            let whose = format!("priority band {}", band.priority);
            let path = format!("priorityBands[{index}].");
            pair(&path, band.max_bytes, band.max_requests, &whose);
        }
        for (index, band) in self.priority_bands.iter().enumerate() {
            let earlier = &self.priority_bands[..index];
            if earlier.iter().any(|other| other.priority == band.priority) {
                let path = format!("priorityBands[{index}].priority");
                fault(
                    path,
                    format!("duplicate priority level {}, want each once", band.priority),
                );
            }
        }
        let ttls = [
            (
                "defaultRequestTTL",
                "DefaultRequestTTL",
                self.default_request_ttl,
            ),
            (
                "noEndpointRequestTTL",
                "NoEndpointRequestTTL",
                self.no_endpoint_request_ttl,
            ),
        ];
        for (path, name, ttl) in ttls {
            if let Some(ttl) = ttl.filter(|ttl| ttl.is_negative()) {
                fault(
                    path.to_owned(),
                    format!("{name} cannot be negative, got {ttl}"),
                );
            }
        }
    }
}
