//! Whom a client trusts over TLS: the system's authorities, or one file's.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Which certificate authorities are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the operating system.
    #[default]
    System,
    /// Those in this PEM file, and no others.
    File(PathBuf),
    /// Those in this PEM text, and no others.
    Pem(String),
}

/// Why no authority could be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file does not hold a certificate.
    #[error("no certificate authority in {place}: {reason}")]
    NoCertificate {
        /// The file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What is offered to the server in ALPN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; in clear text by prior knowledge.
    Http2,
}

/// The TLS settings for connections of `version`.
pub(crate) fn client_config(
    trust: &Trust,
    version: HttpVersion,
) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    let (place, certificates) = match trust {
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            ("the system's store".to_owned(), Ok(found.certs))
        }
        Trust::File(path) => {
            let read: Result<Vec<_>, _> =
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            (path.display().to_string(), read)
        }
        Trust::Pem(text) => {
            let read = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
            ("the given text".to_owned(), read)
        }
    };
    let refuse = |reason: String| TrustError::NoCertificate { place: place.clone(), reason };
    let certificates = certificates.map_err(|error| refuse(error.to_string()))?;
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(refuse("it holds none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![match version {
        HttpVersion::Http1 => b"http/1.1".to_vec(),
        HttpVersion::Http2 => b"h2".to_vec(),
    }];
    Ok(Arc::new(config))
}
