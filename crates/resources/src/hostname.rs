use std::fmt;
use std::sync::Arc;

/// A hostname of a listener or a route: exact, or `*.` in front of a suffix.
///
/// Always lower case. Wildcards stand for one or more labels, never for none (Gateway API, `Hostname`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hostname {
    /// `chat.example.com`
    Exact(Arc<str>),
    /// The suffix of `*.example.com`, with its leading dot: `.example.com`.
    Wildcard(Arc<str>),
}

/// Why a text is not a [`Hostname`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostnameError {
    /// Empty, or longer than 253 characters.
    #[error("hostname `{0}` has {1} characters, want 1 to 253")]
    Length(String, usize),
    /// An IP address.
    #[error("hostname `{0}` is an IP address, want a DNS name")]
    Address(String),
    /// A label is empty, too long, or holds a forbidden character.
    #[error(
        "hostname `{0}` is not a DNS name, want labels of a-z, 0-9 and `-` joined by dots, with `*` only as the whole first label"
    )]
    Label(String),
}

impl Hostname {
    /// Reads `chat.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// If the text is no DNS name in the form the Gateway API allows.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        if text.is_empty() || text.len() > 253 {
            return Err(HostnameError::Length(text.to_owned(), text.len()));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        if !name.split('.').all(is_label) {
            return Err(HostnameError::Label(text.to_owned()));
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostnameError::Address(text.to_owned()));
        }
        let lower = text.to_ascii_lowercase();
        Ok(match lower.strip_prefix('*') {
            Some(suffix) => Self::Wildcard(suffix.into()),
            None => Self::Exact(lower.into()),
        })
    }

    /// True if `host` (without port) is this name or falls under this wildcard. Ignores ASCII case.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.eq_ignore_ascii_case(host),
            Self::Wildcard(suffix) => ends_with_label(host, suffix),
        }
    }

    /// Sort key: the greater, the more specific. Exact before wildcard, then the longer one.
    pub fn specificity(&self) -> (bool, usize) {
        match self {
            Self::Exact(name) => (true, name.len()),
            Self::Wildcard(suffix) => (false, suffix.len()),
        }
    }

    /// The hostnames that both `self` and `other` cover, or `None` if there are none.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(name), _) => other.matches(name).then(|| self.clone()),
            (_, Self::Exact(name)) => self.matches(name).then(|| other.clone()),
            (Self::Wildcard(left), Self::Wildcard(right)) => {
                if left.ends_with(right.as_ref()) {
                    Some(self.clone())
                } else {
                    right.ends_with(left.as_ref()).then(|| other.clone())
                }
            }
        }
    }
}

/// True if `host` is one or more labels in front of `suffix`, which starts with a dot.
fn ends_with_label(host: &str, suffix: &str) -> bool {
    let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
    host.len() > suffix.len()
        && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        && host[0] != b'.'
}

/// RFC 1123 label.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

impl fmt::Display for Hostname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => formatter.write_str(name),
            Self::Wildcard(suffix) => write!(formatter, "*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests;
