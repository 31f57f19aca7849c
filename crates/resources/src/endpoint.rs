use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Scheme of an endpoint or of a redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text.
    #[default]
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// One address that can serve requests, as configured. A DNS name may yet resolve to several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// `namespace/pod-rank-0` for a pod's first port; `namespace/name` for bare endpoints.
    pub name: Arc<str>,
    /// IP literal without brackets, or DNS name.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
    /// Clear or TLS.
    pub scheme: Scheme,
    /// Labels of the pod.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Which of the pool's target ports this is, counted from 0.
    pub rank: u16,
    /// Whether it may get requests.
    pub ready: bool,
}

/// Why an `--endpoint` value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFlagError {
    /// No `http://` or `https://` in front.
    #[error("endpoint `{0}` has no scheme, want `http://host:port` or `https://host:port`")]
    Scheme(String),
    /// Something after the port that is not a `,name=` or `,labels=` option.
    #[error("endpoint `{0}` has a path, query or user, want `scheme://host:port` only")]
    Extra(String),
    /// The host is empty, or neither an IP address nor a DNS name.
    #[error("endpoint host `{0}` is neither an IP address nor a DNS name")]
    Host(String),
    /// The port is not a number from 1 to 65535.
    #[error("endpoint port `{0}` is not valid, want a number from 1 to 65535")]
    Port(String),
    /// An option with an unknown key, or one without a value.
    #[error("endpoint option `{0}` is unknown, want `name=NAME` or `labels=KEY=VALUE;KEY=VALUE`")]
    Option(String),
    /// A label that is not `key=value`.
    #[error("endpoint label `{0}` is not valid, want `key=value`")]
    Label(String),
    /// A name that is empty or has more than one slash.
    #[error("endpoint name `{0}` is not valid, want `name` or `namespace/name`")]
    Name(String),
}

impl EndpointSpec {
    /// Reads `http://10.0.0.1:8000`, `https://host`, `http://[::1]:8000`, each with optional
    /// `,name=gpu-0` (or `name=namespace/gpu-0`) and `,labels=app=vllm;tier=a`.
    ///
    /// Without a port the scheme's own is taken (80, 443); without a name it is
    /// `default/host:port`; such endpoints are always ready.
    ///
    /// # Errors
    /// If a part is malformed, or an option unknown.
    pub fn parse_flag(flag: &str) -> Result<Self, EndpointFlagError> {
        let mut parts = flag.split(',');
        let url = parts.next().unwrap_or_default();
        let (scheme, host, port) = parse_url(url)?;
        let mut name = None;
        let mut labels = BTreeMap::new();
        for option in parts {
            match option.split_once('=') {
                Some(("name", value)) => name = Some(qualified_name(value)?),
                Some(("labels", value)) => parse_labels(value, &mut labels)?,
                _ => return Err(EndpointFlagError::Option(option.to_owned())),
            }
        }
        let name = name.unwrap_or_else(|| {
            if host.contains(':') {
                format!("default/[{host}]:{port}")
            } else {
                format!("default/{host}:{port}")
            }
        });
        Ok(Self {
            name: name.into(),
            host: host.into(),
            port,
            scheme,
            labels: Arc::new(labels),
            rank: 0,
            ready: true,
        })
    }

    /// `host:port`, an IPv6 host in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn parse_url(url: &str) -> Result<(Scheme, &str, u16), EndpointFlagError> {
    let (scheme, rest) = if let Some(rest) = url.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else if let Some(rest) = url.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else {
        return Err(EndpointFlagError::Scheme(url.to_owned()));
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(EndpointFlagError::Extra(url.to_owned()));
    }
    let (host, port) = split_authority(authority)?;
    let port = match port {
        None => scheme.default_port(),
        Some(text) => text
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| EndpointFlagError::Port(text.to_owned()))?,
    };
    Ok((scheme, host, port))
}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), EndpointFlagError> {
    let bad_host = || EndpointFlagError::Host(authority.to_owned());
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(bad_host)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| bad_host())?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(bad_host()),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_host(host) {
        Ok((host, port))
    } else {
        Err(bad_host())
    }
}

/// True for an IP literal or a DNS name without wildcard.
pub(crate) fn is_host(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
        || matches!(crate::Hostname::parse(host), Ok(crate::Hostname::Exact(_)))
}

fn qualified_name(name: &str) -> Result<String, EndpointFlagError> {
    let bad = || EndpointFlagError::Name(name.to_owned());
    let (namespace, local) = name.split_once('/').unwrap_or(("default", name));
    if namespace.is_empty() || local.is_empty() || local.contains('/') {
        return Err(bad());
    }
    Ok(format!("{namespace}/{local}"))
}

fn parse_labels(
    text: &str,
    labels: &mut BTreeMap<String, String>,
) -> Result<(), EndpointFlagError> {
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                labels.insert(key.to_owned(), value.to_owned());
            }
            _ => return Err(EndpointFlagError::Label(pair.to_owned())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
