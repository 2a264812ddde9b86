//! Certificates: a local authority of one's own, and what a TLS port presents.
//!
//! Owns the making of both; where they are kept is the binary's business. Keys are ECDSA P-256.
//! ALPN offers `h2` and `http/1.1`; who offers none may still speak HTTP/2 by its preface, as
//! SDKs of before 2025 do.

use std::sync::Arc;

use millstream_core::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

/// How long an authority is good for.
const AUTHORITY_DAYS: i64 = 3_650;
/// How long a server's certificate is good for: within what every client takes.
pub const CERTIFICATE_DAYS: i64 = 397;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The maker refuses: a name that is none, or a key that does not read.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The PEM holds no certificate or no key.
    #[error("not a certificate and key in PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The certificate and the key do not go together.
    #[error("the certificate and its key cannot be served: {0}")]
    Serve(#[from] rustls::Error),
    /// The file holds no certificate.
    #[error("the PEM holds no certificate")]
    Empty,
}

/// A certificate and its private key, in PEM. The key is secret: mode 0600.
#[derive(Clone)]
pub struct PemPair {
    /// One certificate.
    pub certificate: String,
    /// Its private key.
    pub private_key: String,
}

impl std::fmt::Debug for PemPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PemPair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A certificate authority for one installation, to be trusted by its own clients alone.
#[derive(Clone, Debug)]
pub struct LocalAuthority {
    /// What `tls ca` exports, and the key that must not leave.
    pub pem: PemPair,
}

fn day(now: Timestamp, days: i64) -> OffsetDateTime {
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.checked_add(time::Duration::days(days)).unwrap_or(moment)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names.push(DnType::OrganizationName, "Millstream");
    names
}

impl LocalAuthority {
    /// A new authority.
    pub fn generate(now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Millstream local authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = day(now, -1);
        params.not_after = day(now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { pem: PemPair { certificate, private_key: key.serialize_pem() } })
    }

    /// A server's certificate for `names`: host names, and addresses as text.
    pub fn issue(&self, names: &[String], now: Timestamp) -> Result<PemPair, CertificateError> {
        let authority_key = KeyPair::from_pem(&self.pem.private_key)?;
        let issuer = Issuer::from_ca_cert_pem(&self.pem.certificate, authority_key)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("Millstream");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = day(now, -1);
        params.not_after = day(now, CERTIFICATE_DAYS);
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(PemPair { certificate, private_key: key.serialize_pem() })
    }
}

/// What a TLS port presents.
#[derive(Clone, Debug)]
pub struct TlsIdentity(pub(crate) Arc<ServerConfig>);

impl TlsIdentity {
    /// Reads a chain of certificates, the server's own first, and the first one's key.
    pub fn from_pem(chain: &str, private_key: &str) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() {
            return Err(CertificateError::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(private_key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// As [`TlsIdentity::from_pem`], of a pair that an authority issued.
    pub fn from_pair(pair: &PemPair) -> Result<Self, CertificateError> {
        Self::from_pem(&pair.certificate, &pair.private_key)
    }
}
