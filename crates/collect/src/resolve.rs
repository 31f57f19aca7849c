//! Name resolution.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;

/// Longest wait for one name.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Addresses used per name.
const ADDRESSES_MAX: usize = 512;

/// Asks for the addresses of a name.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, of both families, in any order.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host.as_str(), 0)))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 3 s"))??;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The addresses to use: sorted, each once, of one family.
///
/// A dual-stack name has an IPv4 and an IPv6 address for each server; using both would count every
/// server twice. IPv4 is taken when there is any.
pub(crate) fn usable(mut found: Vec<IpAddr>) -> Vec<IpAddr> {
    if found.iter().any(IpAddr::is_ipv4) {
        found.retain(IpAddr::is_ipv4);
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_family_sorted_and_each_once() {
        let parse = |texts: &[&str]| {
            texts
                .iter()
                .map(|t| t.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        let cases: [(&[&str], &[&str]); 4] = [
            (&["::1", "127.0.0.1"], &["127.0.0.1"]),
            (
                &["10.0.0.9", "10.0.0.2", "10.0.0.9"],
                &["10.0.0.2", "10.0.0.9"],
            ),
            (&["fd00::2", "fd00::1"], &["fd00::1", "fd00::2"]),
            (&[], &[]),
        ];
        for (found, used) in cases {
            assert_eq!(usable(parse(found)), parse(used));
        }
    }
}
