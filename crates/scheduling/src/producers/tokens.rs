//! `token-producer`: prompts as tokens, by an estimate or by the engine's own renderer.
//!
//! Turning text into tokens is for the `payload` room and the rim; here are the parameters, and the
//! estimate of how many tokens images and videos stand for.

mod estimate;

use std::sync::Arc;

use resources::GoDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Data;
use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::settings::Setting;

pub use estimate::{Estimate, ImageEstimate, VideoEstimate, VideoHints};

pub(super) const KINDS: &[Kind] = &[
    Kind::new::<Tokens>("token-producer", Roles::PRODUCER),
    Kind::new::<Tokens>("tokenizer", Roles::PRODUCER)
        .reporting("token-producer")
        .deprecated("use token-producer"),
];

/// At most one of the backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tokens {
    /// Four bytes of text are a token. The default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Ask vLLM to render the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vllm: Option<VllmTokens>,
    /// Name of the model for `vllm`, which it selects on its own too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_name: String,
    /// Deprecated: a tokenizer behind a Unix socket.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub uds_tokenizer_config: Value,
}

/// A vLLM server that renders prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VllmTokens {
    /// Its address.
    pub url: String,
    /// How long it may take.
    pub timeout: GoDuration,
    /// How long it may take with images, sound or video.
    pub mm_timeout: GoDuration,
    /// Trust certificates signed by those in this PEM file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_cert_path: String,
    /// Certificate to show, a PEM file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert_path: String,
    /// Its key, a PEM file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_key_path: String,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
}

impl Default for VllmTokens {
    fn default() -> Self {
        let secs = |secs: i64| GoDuration {
            nanos: secs * 1_000_000_000,
        };
        Self {
            url: "http://localhost:8000".to_owned(),
            timeout: secs(5),
            mm_timeout: secs(30),
            ca_cert_path: String::new(),
            client_cert_path: String::new(),
            client_key_path: String::new(),
            insecure_skip_verify: false,
        }
    }
}

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenBackend {
    /// Four bytes of text are a token.
    Estimate(Estimate),
    /// vLLM renders the prompt.
    Vllm {
        /// The server.
        server: VllmTokens,
        /// Name of the model there.
        model: String,
    },
}

impl Tokens {
    /// Where tokens come from.
    #[must_use]
    pub fn backend(&self) -> TokenBackend {
        if self.vllm.is_none() && self.model_name.is_empty() {
            return TokenBackend::Estimate(self.estimate.clone().unwrap_or_default());
        }
        TokenBackend::Vllm {
            server: self.vllm.clone().unwrap_or_default(),
            model: self.model_name.clone(),
        }
    }
}

impl PluginType for Tokens {
    fn build(self, build: &mut Build<'_>) -> Instance {
        let uds = !self.uds_tokenizer_config.is_null();
        let asks_vllm = self.vllm.is_some() || !self.model_name.is_empty();
        let backends = [self.estimate.is_some(), asks_vllm, uds];
        if (asks_vllm || uds) && self.model_name.is_empty() {
            let message = "'modelName' must be specified, the name of the model on that server";
            build.fault("modelName", message);
        } else if backends.into_iter().filter(|given| *given).count() > 1 {
            let message = "only one backend may be given: estimate, vllm or udsTokenizerConfig";
            build.fault("", message);
        } else if uds {
            let message = "is not supported any more, use vllm";
            build.fault("udsTokenizerConfig", message);
        }
        if let Some(server) = &self.vllm {
            let fits = server.url.starts_with("http://") || server.url.starts_with("https://");
            build.require(fits, "vllm.url", &server.url, "an http or https address");
            for (path, time) in [
                ("vllm.timeout", server.timeout),
                ("vllm.mmTimeout", server.mm_timeout),
            ] {
                build.require(time.nanos > 0, path, time, "above 0s");
            }
        }
        if let Some(estimate) = &self.estimate {
            estimate.check(build);
        }
        Instance::setting(Setting::Tokens(Arc::new(self))).providing(Data::Tokens)
    }
}
