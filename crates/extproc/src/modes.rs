//! How the proxy shows bodies, which decides when and with what each message is answered.

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::{
    BodySendMode, HeaderSendMode,
};
use envoy_types::pb::envoy::service::ext_proc::v3::ProtocolConfiguration;

/// How one body is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BodyMode {
    /// In pieces; answers are a stream of their own, and the head waits for its answer. What pickers are made for.
    #[default]
    FullDuplex,
    /// In one message, after the head was answered.
    Buffered,
    /// In pieces, after the head was answered and sent on; each piece wants one answer.
    Streamed,
    /// Not at all.
    Hidden,
}

/// The modes of one exchange.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Modes {
    pub(crate) request: BodyMode,
    pub(crate) response: BodyMode,
    /// Whether the proxy said so itself. Only such a proxy is asked to change a mode.
    pub(crate) announced: bool,
}

impl Modes {
    /// Whether the proxy would hide the response body if asked to. Envoy changes no mode once either body is in
    /// full-duplex mode, and a proxy that announces nothing is not asked.
    pub(crate) fn can_hide_response_body(&self) -> bool {
        self.announced
            && self.request != BodyMode::FullDuplex
            && matches!(self.response, BodyMode::Streamed | BodyMode::Buffered)
    }

    /// Reads what the proxy announces with its first message.
    pub(crate) fn announced(config: &ProtocolConfiguration) -> Self {
        Self {
            request: body_mode(config.request_body_mode),
            response: body_mode(config.response_body_mode),
            announced: true,
        }
    }
}

fn body_mode(mode: i32) -> BodyMode {
    match BodySendMode::try_from(mode) {
        Ok(BodySendMode::None) => BodyMode::Hidden,
        Ok(BodySendMode::Buffered | BodySendMode::BufferedPartial) => BodyMode::Buffered,
        Ok(BodySendMode::Streamed) => BodyMode::Streamed,
        _ => BodyMode::FullDuplex,
    }
}

/// Asks the proxy not to show the response body. Envoy does so where `allow_mode_override` is set.
pub(crate) fn hide_response_body() -> ProcessingMode {
    ProcessingMode {
        response_body_mode: BodySendMode::None.into(),
        response_trailer_mode: HeaderSendMode::Skip.into(),
        ..ProcessingMode::default()
    }
}
