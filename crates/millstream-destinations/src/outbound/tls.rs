//! Whom is believed over TLS.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Which certificate authorities are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Those of the operating system.
    pub system: bool,
    /// Those in this PEM text too: an organisation's own.
    pub pem: Option<String>,
}

impl Default for Trust {
    /// The operating system's.
    fn default() -> Self {
        Self { system: true, pem: None }
    }
}

/// Why an authority cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text holds no certificate.
    #[error("no certificate authority in the PEM text: {0}")]
    NoCertificate(String),
    /// The TLS library refuses its own settings.
    #[error("TLS cannot be set up: {0}")]
    Settings(String),
}

/// Settings without ALPN. A system without authorities is no error here: every handshake will
/// fail and say so, and who delivers to the local network in clear text never needs one.
pub(super) fn client_config(trust: &Trust) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    if trust.system {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("the system has no certificate authorities: no TLS peer is believed");
        }
    }
    if let Some(pem) = &trust.pem {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = read.map_err(|error| TrustError::NoCertificate(error.to_string()))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(TrustError::NoCertificate("it holds none".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Settings(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
