use crate::CertifiedPem;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Takes certificate chain and key out of a Secret. `Err` says what is wrong, and shows none of it.
pub(super) fn certified(secret: &Secret) -> Result<CertifiedPem, String> {
    let cert_chain_pem = entry(secret, "tls.crt")?;
    let key_pem = entry(secret, "tls.key")?;
    let mut certificates = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(&cert_chain_pem) {
        certificate.map_err(|_| "`tls.crt` holds a broken PEM block".to_owned())?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err("`tls.crt` holds no certificate, want a PEM chain".to_owned());
    }
    PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|_| "`tls.key` holds no private key, want one in PEM".to_owned())?;
    Ok(CertifiedPem {
        cert_chain_pem,
        key_pem,
    })
}

fn entry(secret: &Secret, key: &str) -> Result<Vec<u8>, String> {
    let plain = secret.string_data.as_ref().and_then(|data| data.get(key));
    if let Some(plain) = plain {
        return Ok(plain.clone().into_bytes());
    }
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    data.map(|bytes| bytes.0.clone()).ok_or_else(|| {
        format!("has no `{key}`, want a Secret of type kubernetes.io/tls with tls.crt and tls.key")
    })
}
