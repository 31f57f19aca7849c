use crate::{Hostname, parse_duration};

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 1123 label, lower case.
    Label,
    /// Labels joined by dots, lower case.
    Subdomain,
    /// An API group: empty, or labels joined by dots.
    Group,
    /// A kind.
    Kind,
    /// A hostname, with `*.` in front if need be.
    Hostname,
    /// A hostname without wildcard.
    ExactHostname,
    /// An HTTP field name.
    HeaderName,
    /// Value of a Kubernetes label.
    LabelValue,
    /// GEP-2257.
    Duration,
    /// An origin of CORS, wildcards allowed.
    Origin,
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Label => "a DNS label",
            Self::Subdomain => "a DNS name in lower case",
            Self::Group => "an API group",
            Self::Kind => "a kind",
            Self::Hostname | Self::ExactHostname => "a hostname",
            Self::HeaderName => "a header name",
            Self::LabelValue => "a label value",
            Self::Duration => "a duration",
            Self::Origin => "an origin",
        }
    }

    pub(crate) fn wants(self) -> &'static str {
        match self {
            Self::Label => "a-z, 0-9 and `-`, a letter or digit at both ends",
            Self::Subdomain => "labels of a-z, 0-9 and `-` joined by dots",
            Self::Group => "nothing for the core group, or a DNS name",
            Self::Kind => "a letter, then letters, digits and `-`",
            Self::Hostname => "a DNS name in lower case, which may begin with `*.`",
            Self::ExactHostname => "a DNS name in lower case without wildcard",
            Self::HeaderName => "letters, digits and any of !#$%&'*+-.^_`|~",
            Self::LabelValue => "letters, digits, `-`, `_` and `.`, a letter or digit at both ends",
            Self::Duration => "such as `30s`, `1m30s` or `500ms`",
            Self::Origin => {
                "`*` or `scheme://host[:port]`, where the host may be or begin with `*`"
            }
        }
    }

    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::Label => is_label(text),
            Self::Subdomain => text.split('.').all(is_label),
            Self::Group => text.is_empty() || text.split('.').all(is_label),
            Self::Kind => {
                text.starts_with(|first: char| first.is_ascii_alphabetic())
                    && text.ends_with(|last: char| last.is_ascii_alphanumeric())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            }
            Self::Hostname => is_lower(text) && Hostname::parse(text).is_ok(),
            Self::ExactHostname => {
                is_lower(text) && matches!(Hostname::parse(text), Ok(Hostname::Exact(_)))
            }
            Self::HeaderName => http::HeaderName::from_bytes(text.as_bytes()).is_ok(),
            Self::LabelValue => is_label_value(text),
            Self::Duration => parse_duration(text).is_ok(),
            Self::Origin => is_origin(text),
        }
    }
}

fn is_lower(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| edge(Some(byte)) || *byte == b'-')
}

fn is_label_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| edge(Some(byte)) || b"-_.".contains(byte))
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some(authority) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return false;
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let host_fits = host == "*" || Hostname::parse(host).is_ok() || crate::endpoint::is_host(host);
    host_fits && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
