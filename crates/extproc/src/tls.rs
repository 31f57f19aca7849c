//! The certificate of a gRPC port: made on the spot, or read from files and read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::sync::CancellationToken;

/// Files of a certificate directory, as Kubernetes mounts TLS secrets.
const CERT_FILE: &str = "tls.crt";
const KEY_FILE: &str = "tls.key";
/// How often a certificate directory is looked at. Kubernetes swaps a symbolic link, which some watchers miss.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
const VALID_YEARS: i32 = 10;

/// What cannot be used as TLS material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the kind.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// Certificate and key do not fit, or TLS cannot be set up with them.
    #[error("cannot use the certificate: {0}")]
    Rustls(#[from] rustls::Error),
    /// A name of the command line.
    #[error("{0}")]
    Name(String),
}

/// Protocol versions and cipher suites that are allowed.
#[derive(Debug, Clone)]
pub struct Policy {
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Vec<SupportedCipherSuite>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            versions: rustls::ALL_VERSIONS.to_vec(),
            suites: ring::DEFAULT_CIPHER_SUITES.to_vec(),
        }
    }
}

impl Policy {
    /// Reads Go's names: `VersionTLS12`, and suites such as `TLS_AES_128_GCM_SHA256`. Empty means the usual.
    ///
    /// # Errors
    /// [`TlsError::Name`] for a name that is not known, with those that are.
    pub fn from_go_names(version_min: &str, suites: &[String]) -> Result<Self, TlsError> {
        let versions = match version_min {
            "" | "VersionTLS12" | "VersionTLS11" | "VersionTLS10" => rustls::ALL_VERSIONS.to_vec(),
            "VersionTLS13" => vec![&rustls::version::TLS13],
            other => {
                return Err(TlsError::Name(format!(
                    "\"{other}\" is no TLS version; VersionTLS12 and VersionTLS13 are"
                )));
            }
        };
        if suites.is_empty() {
            return Ok(Self {
                versions,
                ..Self::default()
            });
        }
        let suites = suites
            .iter()
            .map(|name| {
                let known = ring::DEFAULT_CIPHER_SUITES.iter();
                known
                    .clone()
                    .find(|suite| go_name(suite) == *name)
                    .copied()
                    .ok_or_else(|| {
                        let known: Vec<_> = known.map(go_name).collect();
                        TlsError::Name(format!(
                            "\"{name}\" is no cipher suite that is served; {} are",
                            known.join(", ")
                        ))
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { versions, suites })
    }

    fn config(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Certificate, TlsError> {
        let provider = rustls::crypto::CryptoProvider {
            cipher_suites: self.suites.clone(),
            ..ring::default_provider()
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Certificate(Arc::new(config)))
    }
}

/// rustls writes `TLS13_AES_...` where Go, and the registry, write `TLS_AES_...`.
fn go_name(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.replace("TLS13_", "TLS_")
}

/// A certificate ready to be served, with the policy it is served under.
#[derive(Clone)]
pub struct Certificate(Arc<ServerConfig>);

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate")
    }
}

impl Certificate {
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }

    /// A certificate that vouches for itself, for ten years and any name.
    ///
    /// # Errors
    /// When one cannot be made; a defect.
    pub fn self_signed(policy: &Policy) -> Result<Self, TlsError> {
        use rcgen::{
            CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
        };
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, "Inference Ext");
        params.distinguished_name = subject;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let year = current_year();
        params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
        params.not_after = rcgen::date_time_ymd(year + VALID_YEARS, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        policy.config(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
    }

    /// The certificate in `tls.crt` and `tls.key` of a directory.
    ///
    /// # Errors
    /// [`TlsError::File`] names the file that cannot be used.
    pub fn from_directory(directory: &Path, policy: &Policy) -> Result<Self, TlsError> {
        let (cert, key) = (directory.join(CERT_FILE), directory.join(KEY_FILE));
        let wrong = |path: &Path, error: &dyn std::fmt::Display| TlsError::File {
            path: path.to_owned(),
            what: error.to_string(),
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&cert)
            .map_err(|error| wrong(&cert, &error))?
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&cert, &error))?;
        if chain.is_empty() {
            return Err(wrong(&cert, &"it holds no PEM certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| wrong(&key, &error))?;
        policy.config(chain, key)
    }
}

/// Years since the Unix epoch began, roughly: leap days do not matter here.
fn current_year() -> i32 {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    1970 + i32::try_from(seconds / 31_556_952).unwrap_or(0)
}

/// Keeps a certificate up to date with its files.
#[derive(Debug)]
pub struct Reloader {
    directory: PathBuf,
    policy: Policy,
    current: Arc<ArcSwap<Certificate>>,
    /// Changes that were taken, and that were refused.
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Reloader {
    /// Follows `directory`, whose certificate is `current` now.
    #[must_use]
    pub fn new(directory: PathBuf, policy: Policy, current: Arc<ArcSwap<Certificate>>) -> Self {
        Self {
            directory,
            policy,
            current,
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// How many changes were taken, and how many refused.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (
            self.taken.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        )
    }

    /// Looks at the files until `stop`. A change that cannot be used leaves the old certificate.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = self.contents();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_PERIOD) => {}
            }
            let now = self.contents();
            if now != seen {
                seen = now;
                self.reload();
            }
        }
    }

    fn contents(&self) -> [Option<Vec<u8>>; 2] {
        [CERT_FILE, KEY_FILE].map(|file| std::fs::read(self.directory.join(file)).ok())
    }

    /// Reads the files once.
    pub fn reload(&self) {
        match Certificate::from_directory(&self.directory, &self.policy) {
            Ok(certificate) => {
                self.current.store(Arc::new(certificate));
                self.taken.fetch_add(1, Ordering::Relaxed);
                tracing::info!(directory = %self.directory.display(), "certificate replaced");
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "the changed certificate cannot be used; the old one stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_go_are_read_or_explained() {
        assert!(Policy::from_go_names("", &[]).is_ok());
        let one = vec!["TLS_AES_128_GCM_SHA256".to_owned()];
        assert_eq!(
            Policy::from_go_names("VersionTLS13", &one)
                .unwrap()
                .suites
                .len(),
            1
        );
        let wrong = Policy::from_go_names("TLS1.3", &[])
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("VersionTLS13"), "{wrong}");
        let wrong = Policy::from_go_names("", &["RC4".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("TLS_AES_128_GCM_SHA256"), "{wrong}");
    }

    #[test]
    fn a_certificate_is_made_and_one_that_changes_is_followed() {
        let policy = Policy::default();
        let made = Certificate::self_signed(&policy).unwrap();
        let directory = std::env::temp_dir().join(format!("plimsoll-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let current = Arc::new(ArcSwap::from_pointee(made.clone()));
        let reloader = Reloader::new(directory.clone(), policy, current.clone());
        reloader.reload();
        assert_eq!(reloader.counts(), (0, 1));
        assert!(Arc::ptr_eq(&current.load().0, &made.0), "the old one stays");
        let pair = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        std::fs::write(directory.join(CERT_FILE), pair.cert.pem()).unwrap();
        std::fs::write(directory.join(KEY_FILE), pair.signing_key.serialize_pem()).unwrap();
        reloader.reload();
        assert_eq!(reloader.counts(), (1, 1));
        assert!(
            !Arc::ptr_eq(&current.load().0, &made.0),
            "the new one is served"
        );
        std::fs::remove_dir_all(directory).unwrap();
    }
}
