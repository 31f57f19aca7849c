//! What plugins bring for other plugins.

use std::fmt;
use std::sync::Arc;

/// A kind of data that one plugin brings and others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// Leading blocks of the prompt that an endpoint holds.
    PrefixMatch,
    /// Requests and tokens of ours in flight.
    InFlightLoad,
    /// Tokens of this request that an endpoint would have to compute.
    UncachedTokens,
    /// Predicted latencies.
    Latency,
    /// Share of the request's media that an endpoint holds encoded.
    MediaMatch,
    /// The prompt as tokens.
    Tokens,
    /// The usual gauges of model servers.
    CoreMetrics,
    /// GPU utilisation.
    GpuUtilization,
    /// Where an endpoint stands.
    Topology,
    /// Models a server lists.
    Models,
}

impl Data {
    /// The reference's name of it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Data::PrefixMatch => "PrefixCacheMatchInfoDataKey",
            Data::InFlightLoad => "InFlightLoadDataKey",
            Data::UncachedTokens => "UncachedRequestTokensDataKey",
            Data::Latency => "LatencyPredictionInfoDataKey",
            Data::MediaMatch => "EncoderCacheMatchInfoDataKey",
            Data::Tokens => "TokenizedPrompt",
            Data::CoreMetrics => "WaitingQueueSize",
            Data::GpuUtilization => "GPUUtilization",
            Data::Topology => "Topology",
            Data::Models => "/v1/models",
        }
    }

    /// Name of the instance that brings it unless another one is asked for.
    #[must_use]
    pub const fn usual_producer(self) -> &'static str {
        match self {
            Data::PrefixMatch => "approx-prefix-cache-producer",
            Data::InFlightLoad | Data::UncachedTokens => "inflight-load-producer",
            Data::Latency => "predicted-latency-producer",
            Data::MediaMatch => "mm-embeddings-cache-producer",
            Data::Tokens => "token-producer",
            Data::CoreMetrics => "core-metrics-extractor",
            Data::GpuUtilization => "dcgm-extractor",
            Data::Topology => "topology-extractor",
            Data::Models => "models-data-extractor",
        }
    }

    /// Type of the plugin that is added when nobody brings it; `None` = it must be configured.
    #[must_use]
    pub const fn added(self) -> Option<&'static str> {
        match self {
            Data::PrefixMatch
            | Data::InFlightLoad
            | Data::Latency
            | Data::MediaMatch
            | Data::Tokens => Some(self.usual_producer()),
            Data::UncachedTokens
            | Data::CoreMetrics
            | Data::GpuUtilization
            | Data::Topology
            | Data::Models => None,
        }
    }
}

/// Data that a plugin reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it is.
    pub data: Data,
    /// Name of the instance that brings it.
    pub producer: Arc<str>,
    /// The plugin cannot do without. Otherwise it takes what there is.
    pub required: bool,
}

impl Need {
    /// The plugin cannot do without. An empty name is that of the usual producer.
    #[must_use]
    pub fn required(data: Data, producer: &str) -> Self {
        let named = if producer.is_empty() {
            data.usual_producer()
        } else {
            producer
        };
        Self {
            data,
            producer: named.into(),
            required: true,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.data.key(), self.producer)
    }
}
