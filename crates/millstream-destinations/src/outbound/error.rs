//! Why no answer came, told apart as finely as the destinations' error codes need.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::Refusal;

/// What went wrong in a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is for another host.
    Name,
    /// The certificate is not to be believed for another reason: its issuer, its dates.
    Certificate,
    /// The two did not agree on how to speak.
    Handshake,
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The guard refuses to connect there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name has no address.
    #[error("cannot resolve {host}: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// Why.
        reason: String,
    },
    /// No connection could be opened.
    #[error("cannot connect to {host}: {reason}")]
    Unreachable {
        /// Where to.
        host: String,
        /// Why.
        reason: String,
    },
    /// The connection did not stand in time.
    #[error("cannot connect to {host} within {} ms", timeout.as_millis())]
    ConnectTimedOut {
        /// Where to.
        host: String,
        /// How long it was waited.
        timeout: Duration,
    },
    /// TLS could not be agreed on.
    #[error("no TLS with {host}: {reason}")]
    Tls {
        /// With whom.
        host: String,
        /// In which way.
        fault: TlsFault,
        /// Why.
        reason: String,
    },
    /// The exchange was not over in time; what the other side did is unknown.
    #[error("no answer within {} ms", timeout.as_millis())]
    TimedOut {
        /// How long it was waited.
        timeout: Duration,
    },
    /// The connection broke; what the other side did is unknown.
    #[error("the connection broke: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
    /// The answer is larger than it may be.
    #[error("the answer is above {bytes_max} bytes")]
    AnswerTooLarge {
        /// What it may be.
        bytes_max: usize,
    },
    /// The request itself cannot be sent.
    #[error("the request cannot be sent: {reason}")]
    Request {
        /// Why.
        reason: String,
    },
}

impl OutboundError {
    /// What a pooled client's error was at its root.
    pub(super) fn of_client(error: &hyper_util::client::legacy::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = error.source();
        while let Some(inner) = cause {
            if let Some(own) = inner.downcast_ref::<Self>() {
                return own.clone();
            }
            cause = inner.source();
        }
        Self::broken(error)
    }

    /// A connection that broke, told with its whole chain of causes.
    pub(super) fn broken(error: &(dyn Error + 'static)) -> Self {
        Self::Broken { reason: chain(error) }
    }

    /// What a failed handshake with `host` means.
    pub(super) fn of_handshake(host: &str, error: &io::Error) -> Self {
        let rustls_error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let fault = match rustls_error {
            Some(rustls::Error::InvalidCertificate(certificate)) => fault_of(certificate),
            Some(_) => TlsFault::Handshake,
            None => {
                let reason = error.to_string();
                return Self::Tls { host: host.to_owned(), fault: TlsFault::Handshake, reason };
            }
        };
        Self::Tls { host: host.to_owned(), fault, reason: error.to_string() }
    }
}

fn fault_of(error: &rustls::CertificateError) -> TlsFault {
    match error {
        rustls::CertificateError::NotValidForName
        | rustls::CertificateError::NotValidForNameContext { .. } => TlsFault::Name,
        _ => TlsFault::Certificate,
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
