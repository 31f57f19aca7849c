//! TLS on both sides: certificates of listeners by server name, and what is trusted towards model servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resources::{Hostname, Listener};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// What cannot be used as TLS material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A listener's certificate or key.
    #[error(
        "listener {listener}: {what}; the Secret must hold a PEM certificate chain in tls.crt and its PEM key in tls.key"
    )]
    Listener {
        /// Gateway and listener name.
        listener: String,
        /// What is wrong.
        what: String,
    },
    /// A file of certificates to trust.
    #[error("cannot read certificates from {}: {what}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The crypto provider refused a protocol version; a defect.
    #[error("cannot set up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Whom to trust behind `https` endpoints.
#[derive(Debug, Clone, Default)]
pub enum UpstreamTrust {
    /// The machine's certificate store.
    #[default]
    System,
    /// The certificates in this PEM file only.
    File(PathBuf),
    /// Anyone. For clusters whose model servers carry self-signed certificates.
    Anyone,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// TLS towards model servers, for requests and for reading their metrics.
///
/// # Errors
/// [`TlsError::Trust`] when the file of certificates cannot be read.
pub fn client_config(trust: &UpstreamTrust) -> Result<ClientConfig, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(match trust {
        UpstreamTrust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAnyone(provider())))
            .with_no_client_auth(),
        UpstreamTrust::System => builder
            .with_root_certificates(system_roots())
            .with_no_client_auth(),
        UpstreamTrust::File(path) => builder
            .with_root_certificates(file_roots(path)?)
            .with_no_client_auth(),
    })
}

/// The machine's roots; a machine without any can still talk to plain-text endpoints.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(loaded.certs);
    roots
}

fn file_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let wrong = |what: String| TlsError::Trust {
        path: path.to_owned(),
        what,
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(error.to_string()))?
        .collect();
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(certificates.map_err(|error| wrong(error.to_string()))?);
    if added == 0 {
        return Err(wrong("it holds no PEM certificate".to_owned()));
    }
    Ok(roots)
}

/// TLS of one port, for all its listeners; `None` if none of them speaks TLS.
pub(crate) fn server_config<'l>(
    listeners: impl Iterator<Item = &'l Listener>,
) -> Result<Option<ServerConfig>, TlsError> {
    let mut certificates = Vec::new();
    for listener in listeners {
        for pem in &listener.tls {
            let key = certified_key(&pem.cert_chain_pem, &pem.key_pem).map_err(|what| {
                TlsError::Listener {
                    listener: format!("{}/{}", listener.gateway, listener.name),
                    what,
                }
            })?;
            certificates.push((listener.hostname.clone(), Arc::new(key)));
        }
    }
    if certificates.is_empty() {
        return Ok(None);
    }
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByServerName(certificates)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(config))
}

fn certified_key(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| format!("the certificate is not valid PEM ({error})"))?;
    if chain.is_empty() {
        return Err("the certificate holds no PEM block".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the key is not valid PEM ({error})"))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|error| format!("certificate and key cannot be used ({error})"))
}

/// Picks the certificate of the listener whose hostname fits the client's server name best.
#[derive(Debug)]
struct ByServerName(Vec<(Option<Hostname>, Arc<CertifiedKey>)>);

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let fit = |hostname: &Option<Hostname>| match (hostname, name) {
            (Some(hostname), Some(name)) if hostname.matches(name) => match hostname {
                Hostname::Exact(_) => Some(usize::MAX),
                Hostname::Wildcard(suffix) => Some(suffix.len()),
            },
            (None, _) => Some(0),
            (Some(_), _) => None,
        };
        self.0
            .iter()
            .filter_map(|(hostname, key)| fit(hostname).map(|fit| (fit, key)))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, key)| key.clone())
    }
}

/// Accepts every certificate, still checking that the peer holds its key.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
